#include <zephyr/llext/symbol.h>

int bias = 4;

int printk(const char *format, ...)
{
    return format[0];
}
EXPORT_SYMBOL(printk);

int scale(int value) /* what only this image's code gives */
{
    return 3 * value + bias;
}
EXPORT_SYMBOL(scale);

char kheap_llext_heap[CONFIG_LLEXT_HEAP_SIZE * 1024] __attribute__((aligned(8)));

int main(void);

void _start(void)
{
    main();
}
