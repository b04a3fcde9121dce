#include <llext/host.h>
#include <llext/symbol.h>

extern "C" int meter_read(int raw);

namespace {
struct Counter {
    int shown = 0;
    ~Counter() { printk("shown %d times", shown); }
} counter;
} // namespace

extern "C" int display_show(int raw)
{
    printk("%d mV", meter_read(raw));
    return ++counter.shown;
}
EXPORT_SYMBOL(display_show);
