/*
 * Assertions: assert() of C, and __ASSERT() and __ASSERT_NO_MSG() with the names and meaning that they have in Zephyr.
 * <llext/host.h> includes this file; inside a Zephyr build the real headers are included instead.
 *
 * NDEBUG leaves all of them out, -D__ASSERT_ON=0 those of Zephyr. The functions behind them are the base image's: one
 * of Zephyr has assert_print() and assert_post_action() with CONFIG_ASSERT=y.
 */

#ifndef LLEXT_ASSERT_H_
#define LLEXT_ASSERT_H_

#ifdef __cplusplus
extern "C" {
#endif

void assert_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void assert_post_action(const char *file, unsigned int line);
void __assert_func(const char *file, int line, const char *function, const char *condition) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#ifndef __ASSERT_ON
#ifdef NDEBUG
#define __ASSERT_ON 0
#else
#define __ASSERT_ON 1
#endif
#endif

#ifndef __ASSERT
#if __ASSERT_ON

/* The message is a format in quotes, and what belongs to it. */
#define __ASSERT(test, ...)                                                                                            \
	do {                                                                                                               \
		if (!(test)) {                                                                                                 \
			assert_print("ASSERTION FAIL [%s] @ %s:%d\n", #test, __FILE__, __LINE__);                                  \
			assert_print("\t" __VA_ARGS__);                                                                            \
			assert_print("\n");                                                                                        \
			assert_post_action(__FILE__, __LINE__);                                                                    \
		}                                                                                                              \
	} while (0)

#define __ASSERT_NO_MSG(test)                                                                                          \
	do {                                                                                                               \
		if (!(test)) {                                                                                                 \
			assert_print("ASSERTION FAIL [%s] @ %s:%d\n", #test, __FILE__, __LINE__);                                  \
			assert_post_action(__FILE__, __LINE__);                                                                    \
		}                                                                                                              \
	} while (0)

/* One of two statements, and the test only with the second, which is for builds with assertions. */
#define __ASSERT_EVAL(without, with, test, ...)                                                                        \
	do {                                                                                                               \
		with;                                                                                                          \
		__ASSERT(test, __VA_ARGS__);                                                                                   \
	} while (0)

#else

#define __ASSERT(test, ...)                            do { } while (0)
#define __ASSERT_NO_MSG(test)                          do { } while (0)
#define __ASSERT_EVAL(without, with, test, ...)        without

#endif
#endif /* __ASSERT */

/* <assert.h> has its own, whether it comes before or behind. */
#ifndef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition) ((condition) ? (void)0 : __assert_func(__FILE__, __LINE__, __func__, #condition))
#endif
#endif

#endif /* LLEXT_ASSERT_H_ */
