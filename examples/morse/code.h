#ifndef CODE_H
#define CODE_H

#ifdef __cplusplus
extern "C" {
#endif

/* The code of a letter, and NULL of any other character. */
const char *code_of(char letter);

#ifdef __cplusplus
}
#endif

#endif
