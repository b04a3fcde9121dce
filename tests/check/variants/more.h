#ifdef __cplusplus
extern "C" {
#endif
int more_first(int value);
int more_second(int value);
extern const int more_table[4];
#ifdef __cplusplus
}
#endif
