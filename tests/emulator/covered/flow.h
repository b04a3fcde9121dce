#pragma once
static inline int clamp(int x, int low, int high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}

static inline int never_used(int x)
{
    return x + 1;
}
#define SQUARE(x) ((x) * (x))
#define SWAP(a, b) do { int t_ = (a); (a) = (b); (b) = t_; } while (0)
