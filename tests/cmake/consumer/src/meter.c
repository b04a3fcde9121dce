#include <llext/symbol.h>
#include "scale.h"

int meter_read(int raw)
{
    return scale(raw);
}
EXPORT_SYMBOL(meter_read);
