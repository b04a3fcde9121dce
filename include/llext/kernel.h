/*
 * Threads, timeouts, semaphores, mutexes, message queues, timers and logging, as the kernel model of `llext run` has
 * them. The names, values and return codes are Zephyr's: the same source builds inside a Zephyr tree, where its own
 * headers are included instead. <llext/host.h> includes this file.
 *
 * A timeout is a number of ticks. An extension has the tick rate of its base image compiled in: define
 * CONFIG_SYS_CLOCK_TICKS_PER_SEC for an image that does not have 10,000 of them in a second.
 *
 * There is no K_THREAD_DEFINE: a base image starts its static threads at boot, long before it loads an extension.
 */

#ifndef LLEXT_KERNEL_H_
#define LLEXT_KERNEL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef CONFIG_SYS_CLOCK_TICKS_PER_SEC
#define CONFIG_SYS_CLOCK_TICKS_PER_SEC 10000
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARG_UNUSED
#define ARG_UNUSED(x) (void)(x)
#endif
#ifndef POINTER_TO_INT
#define POINTER_TO_INT(x)  ((intptr_t)(x))
#define INT_TO_POINTER(x)  ((void *)(intptr_t)(x))
#define POINTER_TO_UINT(x) ((uintptr_t)(x))
#define UINT_TO_POINTER(x) ((void *)(uintptr_t)(x))
#endif

/* What the functions below return, negated. */
#ifndef EPERM
#define EPERM 1
#endif
#ifndef EAGAIN
#define EAGAIN 11
#endif
#ifndef ENOMEM
#define ENOMEM 12
#endif
#ifndef EBUSY
#define EBUSY 16
#endif
#ifndef EINVAL
#define EINVAL 22
#endif
#ifndef ENOMSG
#define ENOMSG 35
#endif
#ifndef EDEADLK
#define EDEADLK 45
#endif

/* Timeouts: how long a call may wait. */
typedef int64_t k_ticks_t;

typedef struct {
	k_ticks_t ticks;
} k_timeout_t;

#ifdef __cplusplus
#define LLEXT_TIMEOUT(count) (k_timeout_t{(k_ticks_t)(count)})
#else
#define LLEXT_TIMEOUT(count) ((k_timeout_t){(k_ticks_t)(count)})
#endif

/* So many parts of a second, `parts` to the second, as ticks: rounded up, nothing if negative. */
#define LLEXT_CEIL(count, parts)                                                                                       \
	((count) > 0 ? ((k_ticks_t)(count) * CONFIG_SYS_CLOCK_TICKS_PER_SEC + (parts)-1) / (parts) : 0)

#define K_NO_WAIT    LLEXT_TIMEOUT(0)
#define K_FOREVER    LLEXT_TIMEOUT(-1)
#define K_TICKS(t)   LLEXT_TIMEOUT(t)
#define K_USEC(t)    LLEXT_TIMEOUT(LLEXT_CEIL(t, 1000000))
#define K_MSEC(t)    LLEXT_TIMEOUT(LLEXT_CEIL(t, 1000))
#define K_SECONDS(t) LLEXT_TIMEOUT(LLEXT_CEIL(t, 1))
#define K_MINUTES(t) K_SECONDS((k_ticks_t)(t)*60)
#define K_HOURS(t)   K_SECONDS((k_ticks_t)(t)*3600)

#define K_TIMEOUT_EQ(left, right) ((left).ticks == (right).ticks)

/* Time. In the emulator it is virtual: it passes while all threads wait. */
int64_t k_uptime_get(void);
uint32_t k_uptime_get_32(void);
int64_t k_uptime_ticks(void);
uint32_t k_cycle_get_32(void);
uint64_t k_cycle_get_64(void);
int32_t k_sleep(k_timeout_t timeout);
int32_t k_msleep(int32_t milliseconds);
int32_t k_usleep(int32_t microseconds);
void k_busy_wait(uint32_t microseconds);

/* Milliseconds since `*reference`, which becomes the present. */
static inline int64_t k_uptime_delta(int64_t *reference)
{
	int64_t now = k_uptime_get();
	int64_t passed = now - *reference;

	*reference = now;
	return passed;
}

/* A list of waiting threads; it points to itself while there is none. */
typedef struct {
	void *head;
	void *tail;
} llext_wait_queue;

#define LLEXT_NOBODY(object) {&(object).wait_q, &(object).wait_q}

/* Threads. A lower priority comes first; a negative one is cooperative: such a thread runs until it waits. */
#define K_PRIO_COOP(x)            (-(16 - (x)))
#define K_PRIO_PREEMPT(x)         (x)
#define K_ESSENTIAL               1U
#define K_LOWEST_THREAD_PRIO      15
#define K_LOWEST_APPLICATION_THREAD_PRIO  14
#define K_HIGHEST_THREAD_PRIO     (-16)
#define K_HIGHEST_APPLICATION_THREAD_PRIO (-16)

struct k_thread {
	void *llext_private[24]; /* the kernel's */
};

typedef struct k_thread *k_tid_t;
typedef void (*k_thread_entry_t)(void *first, void *second, void *third);

struct k_thread_stack {
	char data;
};

typedef struct k_thread_stack k_thread_stack_t;

#define LLEXT_STACK_SIZE(size) (((size) + 15) / 16 * 16)

#define K_THREAD_STACK_DEFINE(name, size)                                                                              \
	k_thread_stack_t name[LLEXT_STACK_SIZE(size)] __attribute__((aligned(16)))
#define K_THREAD_STACK_ARRAY_DEFINE(name, count, size)                                                                 \
	k_thread_stack_t name[count][LLEXT_STACK_SIZE(size)] __attribute__((aligned(16)))
#define K_THREAD_STACK_MEMBER(name, size)       K_THREAD_STACK_DEFINE(name, size)
#define K_THREAD_STACK_DECLARE(name, size)      extern k_thread_stack_t name[LLEXT_STACK_SIZE(size)]
#define K_THREAD_STACK_SIZEOF(name)             sizeof(name)
#define K_THREAD_STACK_LEN(size)                LLEXT_STACK_SIZE(size)
#define K_KERNEL_STACK_DEFINE(name, size)       K_THREAD_STACK_DEFINE(name, size)
#define K_KERNEL_STACK_SIZEOF(name)             sizeof(name)

k_tid_t k_thread_create(struct k_thread *thread, k_thread_stack_t *stack, size_t stack_size, k_thread_entry_t entry,
			void *first, void *second, void *third, int priority, uint32_t options, k_timeout_t delay);
void k_thread_start(k_tid_t thread);
int k_thread_join(struct k_thread *thread, k_timeout_t timeout);
void k_thread_abort(k_tid_t thread);
void k_thread_suspend(k_tid_t thread);
void k_thread_resume(k_tid_t thread);
void k_thread_priority_set(k_tid_t thread, int priority);
int k_thread_priority_get(k_tid_t thread);
int k_thread_name_set(k_tid_t thread, const char *name);
const char *k_thread_name_get(k_tid_t thread);
int k_thread_name_copy(k_tid_t thread, char *buffer, size_t size);
int k_thread_stack_space_get(const struct k_thread *thread, size_t *unused);
void k_thread_custom_data_set(void *value);
void *k_thread_custom_data_get(void);
k_tid_t k_current_get(void);
void k_wakeup(k_tid_t thread);
void k_yield(void);
bool k_is_in_isr(void);
int k_is_preempt_thread(void);
void k_sched_lock(void);
void k_sched_unlock(void);
unsigned int irq_lock(void);
void irq_unlock(unsigned int key);

/* Semaphores: a count up to a limit. */
#define K_SEM_MAX_LIMIT UINT32_MAX

struct k_sem {
	llext_wait_queue wait_q;
	unsigned int count;
	unsigned int limit;
};

#define K_SEM_DEFINE(name, initial_count, count_limit)                                                                 \
	struct k_sem name = {LLEXT_NOBODY(name), initial_count, count_limit}

int k_sem_init(struct k_sem *sem, unsigned int initial_count, unsigned int limit);
int k_sem_take(struct k_sem *sem, k_timeout_t timeout);
void k_sem_give(struct k_sem *sem);
void k_sem_reset(struct k_sem *sem);
unsigned int k_sem_count_get(struct k_sem *sem);

/* Mutexes: its owner may lock one again, and has the priority of who waits for it. */
struct k_mutex {
	llext_wait_queue wait_q;
	struct k_thread *owner;
	uint32_t lock_count;
	int owner_orig_prio;
};

#define K_MUTEX_DEFINE(name) struct k_mutex name = {LLEXT_NOBODY(name), NULL, 0, K_LOWEST_APPLICATION_THREAD_PRIO}

int k_mutex_init(struct k_mutex *mutex);
int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout);
int k_mutex_unlock(struct k_mutex *mutex);

/* Message queues: copies of `msg_size` bytes each, first in, first out. */
struct k_msgq {
	llext_wait_queue wait_q;
	size_t msg_size;
	uint32_t max_msgs;
	char *buffer_start;
	char *buffer_end;
	char *read_ptr;
	char *write_ptr;
	uint32_t used_msgs;
	uint8_t flags;
};

struct k_msgq_attrs {
	size_t msg_size;
	uint32_t max_msgs;
	uint32_t used_msgs;
};

#define K_MSGQ_DEFINE(name, size, count, align)                                                                        \
	static char llext_buffer_of_##name[(count) * (size)] __attribute__((aligned(align)));                          \
	struct k_msgq name = {LLEXT_NOBODY(name),                                                                      \
			      size,                                                                                    \
			      count,                                                                                   \
			      llext_buffer_of_##name,                                                                  \
			      llext_buffer_of_##name + (count) * (size),                                               \
			      llext_buffer_of_##name,                                                                  \
			      llext_buffer_of_##name,                                                                  \
			      0,                                                                                       \
			      0}

void k_msgq_init(struct k_msgq *msgq, char *buffer, size_t msg_size, uint32_t max_msgs);
int k_msgq_alloc_init(struct k_msgq *msgq, size_t msg_size, uint32_t max_msgs);
int k_msgq_cleanup(struct k_msgq *msgq);
int k_msgq_put(struct k_msgq *msgq, const void *data, k_timeout_t timeout);
int k_msgq_put_front(struct k_msgq *msgq, const void *data);
int k_msgq_get(struct k_msgq *msgq, void *data, k_timeout_t timeout);
int k_msgq_peek(struct k_msgq *msgq, void *data);
int k_msgq_peek_at(struct k_msgq *msgq, void *data, uint32_t index);
void k_msgq_purge(struct k_msgq *msgq);
uint32_t k_msgq_num_used_get(struct k_msgq *msgq);
uint32_t k_msgq_num_free_get(struct k_msgq *msgq);
void k_msgq_get_attrs(struct k_msgq *msgq, struct k_msgq_attrs *attrs);

/* Timers: a function that is called once or again and again, as by an interrupt: it must not wait. */
struct k_timer;
typedef void (*k_timer_expiry_t)(struct k_timer *timer);
typedef void (*k_timer_stop_t)(struct k_timer *timer);

struct k_timer {
	struct {
		void *next;
		void *previous;
		void (*function)(void *timeout);
		int64_t ticks;
	} timeout;
	llext_wait_queue wait_q;
	k_timer_expiry_t expiry_fn;
	k_timer_stop_t stop_fn;
	k_timeout_t period;
	uint32_t status;
	void *user_data;
};

#define K_TIMER_DEFINE(name, expiry, stop)                                                                             \
	struct k_timer name = {{NULL, NULL, NULL, 0}, LLEXT_NOBODY(name), expiry, stop, {0}, 0, NULL}

void k_timer_init(struct k_timer *timer, k_timer_expiry_t expiry_fn, k_timer_stop_t stop_fn);
void k_timer_start(struct k_timer *timer, k_timeout_t duration, k_timeout_t period);
void k_timer_stop(struct k_timer *timer);
uint32_t k_timer_status_get(struct k_timer *timer);
uint32_t k_timer_status_sync(struct k_timer *timer);
uint32_t k_timer_remaining_get(struct k_timer *timer);
k_ticks_t k_timer_remaining_ticks(const struct k_timer *timer);
k_ticks_t k_timer_expires_ticks(const struct k_timer *timer);
void k_timer_user_data_set(struct k_timer *timer, void *user_data);
void *k_timer_user_data_get(const struct k_timer *timer);

/* Queues of items whose first word is the kernel's. */
struct k_queue {
	struct {
		void *head;
		void *tail;
	} data_q;
	llext_wait_queue wait_q;
};

struct k_fifo {
	struct k_queue _queue;
};

struct k_lifo {
	struct k_queue _queue;
};

#define K_QUEUE_DEFINE(name) struct k_queue name = {{NULL, NULL}, LLEXT_NOBODY(name)}
#define K_FIFO_DEFINE(name)  struct k_fifo name = {{{NULL, NULL}, LLEXT_NOBODY((name)._queue)}}
#define K_LIFO_DEFINE(name)  struct k_lifo name = {{{NULL, NULL}, LLEXT_NOBODY((name)._queue)}}

void k_queue_init(struct k_queue *queue);
void k_queue_append(struct k_queue *queue, void *data);
void k_queue_prepend(struct k_queue *queue, void *data);
void k_queue_insert(struct k_queue *queue, void *before, void *data);
void *k_queue_get(struct k_queue *queue, k_timeout_t timeout);
void k_queue_cancel_wait(struct k_queue *queue);
bool k_queue_remove(struct k_queue *queue, void *data);
bool k_queue_unique_append(struct k_queue *queue, void *data);
int k_queue_is_empty(struct k_queue *queue);
void *k_queue_peek_head(struct k_queue *queue);
void *k_queue_peek_tail(struct k_queue *queue);

#define k_fifo_init(fifo)             k_queue_init(&(fifo)->_queue)
#define k_fifo_put(fifo, data)        k_queue_append(&(fifo)->_queue, data)
#define k_fifo_get(fifo, timeout)     k_queue_get(&(fifo)->_queue, timeout)
#define k_fifo_cancel_wait(fifo)      k_queue_cancel_wait(&(fifo)->_queue)
#define k_fifo_is_empty(fifo)         k_queue_is_empty(&(fifo)->_queue)
#define k_fifo_peek_head(fifo)        k_queue_peek_head(&(fifo)->_queue)
#define k_fifo_peek_tail(fifo)        k_queue_peek_tail(&(fifo)->_queue)
#define k_lifo_init(lifo)             k_queue_init(&(lifo)->_queue)
#define k_lifo_put(lifo, data)        k_queue_prepend(&(lifo)->_queue, data)
#define k_lifo_get(lifo, timeout)     k_queue_get(&(lifo)->_queue, timeout)

/* Events: bits that are set and waited for. */
struct k_event {
	llext_wait_queue wait_q;
	uint32_t events;
};

#define K_EVENT_DEFINE(name) struct k_event name = {LLEXT_NOBODY(name), 0}

void k_event_init(struct k_event *event);
uint32_t k_event_post(struct k_event *event, uint32_t events);
uint32_t k_event_set(struct k_event *event, uint32_t events);
uint32_t k_event_set_masked(struct k_event *event, uint32_t events, uint32_t mask);
uint32_t k_event_clear(struct k_event *event, uint32_t events);
uint32_t k_event_wait(struct k_event *event, uint32_t events, bool reset, k_timeout_t timeout);
uint32_t k_event_wait_all(struct k_event *event, uint32_t events, bool reset, k_timeout_t timeout);
uint32_t k_event_test(struct k_event *event, uint32_t mask);

/* Condition variables. */
struct k_condvar {
	llext_wait_queue wait_q;
};

#define K_CONDVAR_DEFINE(name) struct k_condvar name = {LLEXT_NOBODY(name)}

int k_condvar_init(struct k_condvar *condvar);
int k_condvar_signal(struct k_condvar *condvar);
int k_condvar_broadcast(struct k_condvar *condvar);
int k_condvar_wait(struct k_condvar *condvar, struct k_mutex *mutex, k_timeout_t timeout);

/* Work: functions that a thread calls one after the other, at once or later; of the system's queue, or of one's own. */
struct k_work;
typedef void (*k_work_handler_t)(struct k_work *work);

#define K_WORK_RUNNING   1
#define K_WORK_CANCELING 2
#define K_WORK_QUEUED    4
#define K_WORK_DELAYED   8

struct k_work {
	void *node;
	k_work_handler_t handler;
	void *queue;
	uint32_t flags;
};

struct k_work_delayable {
	struct k_work work;
	struct {
		void *next;
		void *previous;
		void (*function)(void *timeout);
		int64_t ticks;
	} timeout;
	void *queue;
};

struct k_work_q {
	void *llext_private[32]; /* the kernel's */
};

struct k_work_sync {
	void *llext_private[8];
};

struct k_work_queue_config {
	const char *name;
	bool no_yield;
	bool essential;
};

#define K_WORK_DEFINE(name, function) struct k_work name = {NULL, function, NULL, 0}
#define K_WORK_DELAYABLE_DEFINE(name, function)                                                                        \
	struct k_work_delayable name = {{NULL, function, NULL, 0}, {NULL, NULL, NULL, 0}, NULL}

void k_work_init(struct k_work *work, k_work_handler_t handler);
void k_work_init_delayable(struct k_work_delayable *work, k_work_handler_t handler);
int k_work_submit(struct k_work *work);
int k_work_submit_to_queue(struct k_work_q *queue, struct k_work *work);
int k_work_schedule(struct k_work_delayable *work, k_timeout_t delay);
int k_work_schedule_for_queue(struct k_work_q *queue, struct k_work_delayable *work, k_timeout_t delay);
int k_work_reschedule(struct k_work_delayable *work, k_timeout_t delay);
int k_work_reschedule_for_queue(struct k_work_q *queue, struct k_work_delayable *work, k_timeout_t delay);
int k_work_busy_get(const struct k_work *work);
int k_work_delayable_busy_get(const struct k_work_delayable *work);
int k_work_cancel(struct k_work *work);
int k_work_cancel_delayable(struct k_work_delayable *work);
bool k_work_cancel_sync(struct k_work *work, struct k_work_sync *sync);
bool k_work_cancel_delayable_sync(struct k_work_delayable *work, struct k_work_sync *sync);
bool k_work_flush(struct k_work *work, struct k_work_sync *sync);
bool k_work_flush_delayable(struct k_work_delayable *work, struct k_work_sync *sync);
void k_work_queue_init(struct k_work_q *queue);
void k_work_queue_start(struct k_work_q *queue, k_thread_stack_t *stack, size_t size, int priority,
			const struct k_work_queue_config *config);

static inline bool k_work_is_pending(const struct k_work *work)
{
	return k_work_busy_get(work) != 0;
}

static inline bool k_work_delayable_is_pending(const struct k_work_delayable *work)
{
	return k_work_delayable_busy_get(work) != 0;
}

static inline struct k_work_delayable *k_work_delayable_from_work(struct k_work *work)
{
	return (struct k_work_delayable *)(void *)work;
}

/* The system heap. */
void *k_malloc(size_t size);
void *k_calloc(size_t count, size_t size);
void *k_realloc(void *block, size_t size);
void *k_aligned_alloc(size_t align, size_t size);
void k_free(void *block);

#ifdef __cplusplus
}
#endif

/* Logging, printed at once as Zephyr's minimal mode does. LOG_MODULE_REGISTER(name) or (name, level) comes first. */
#define LOG_LEVEL_NONE 0U
#define LOG_LEVEL_ERR  1U
#define LOG_LEVEL_WRN  2U
#define LOG_LEVEL_INF  3U
#define LOG_LEVEL_DBG  4U

#ifndef CONFIG_LOG_DEFAULT_LEVEL
#define CONFIG_LOG_DEFAULT_LEVEL LOG_LEVEL_INF
#endif

#define LLEXT_SECOND(first, second, ...) second
#define LOG_MODULE_REGISTER(...)                                                                                       \
	static const unsigned int llext_log_level __attribute__((unused)) =                                            \
		LLEXT_SECOND(__VA_ARGS__, CONFIG_LOG_DEFAULT_LEVEL, 0)
#define LOG_MODULE_DECLARE(...) LOG_MODULE_REGISTER(__VA_ARGS__)

/* The empty text at the end keeps the comma away where there are no further arguments. */
#define LLEXT_LOG(level, letter, ...)                                                                                  \
	do {                                                                                                           \
		if (llext_log_level >= (level)) {                                                                      \
			LLEXT_LOG_LINE(letter, __VA_ARGS__, "");                                                       \
		}                                                                                                      \
	} while (0)
#define LLEXT_LOG_LINE(letter, format, ...) printk(letter ": " format "%s\n", __VA_ARGS__)

#define LOG_ERR(...) LLEXT_LOG(LOG_LEVEL_ERR, "E", __VA_ARGS__)
#define LOG_WRN(...) LLEXT_LOG(LOG_LEVEL_WRN, "W", __VA_ARGS__)
#define LOG_INF(...) LLEXT_LOG(LOG_LEVEL_INF, "I", __VA_ARGS__)
#define LOG_DBG(...) LLEXT_LOG(LOG_LEVEL_DBG, "D", __VA_ARGS__)
#define LOG_PRINTK(...) printk(__VA_ARGS__)

#endif /* LLEXT_KERNEL_H_ */
