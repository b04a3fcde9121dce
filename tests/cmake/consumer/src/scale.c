#include "scale.h"

int scale(int raw)
{
    return raw * 10;
}
