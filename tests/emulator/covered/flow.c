#include "flow.h"

int total;
static int table[4] = {1, 2, 3, 4};

static int one(void) { return 1; }
static void nothing(void) {}
static void nothing_long(void)
{
}

int loops(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += i;
    for (int i = 0; i < n; i++) {
        if (i == 2)
            continue;
        if (i == 5)
            break;
        sum += one();
    }
    int k = n;
    while (k > 0) {
        k--;
        sum++;
    }
    while (k < n) k++;
    do {
        sum--;
    } while (sum > 100);
    do sum--; while (sum > 90);
    for (int i = 0; i < n; i++) sum += i;
    for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) sum += j;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 3; j++)
            sum += clamp(i, j, 5);
    for (;;) {
        if (sum-- < 10)
            break;
    }
    return sum;
}

int logic(int a, int b, int c)
{
    int r = 0;
    if (a && b)
        r |= 1;
    if (a || b)
        r |= 2;
    if (a &&
        b &&
        c)
        r |= 4;
    else if (b
             || c)
        r |= 8;
    else
        r |= 16;
    r += a ? b : c;
    r += a ?
        one() :
        c;
    r += (a > b) + (b > c);
    int both = a && one();
    return r + both;
}

int choose(int x)
{
    int r;
    switch (x) {
    case 0:
        r = 10;
        break;
    case 1:
        r = one();
        break;
    case 2:
    case 3:
        r = 30;
        /* fall through */
    case 4:
        r = 40;
        break;
    case 5: r = 50; break;
    case 6: {
        int t = x;
        r = t;
        break;
    }
    case 7:
        return 70;
    default:
        r = -1;
    }
    return r;
}

int nested(int a)
{
    return clamp(one() + clamp(a, 1, 3), one(),
                 clamp(a, one(),
                       7));
}

int fact(int n)
{
    if (n < 2)
        return 1;
    return n * fact(n - 1);
}

int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

void early(int x)
{
    if (x)
        return;
    total++;
}

int gotos(int n)
{
    int r = 0;
again:
    r++;
    if (r < n)
        goto again;
    if (r > 5)
        goto out;
    r = 7;
out:
    return r;
}

int macros(int a, int b)
{
    SWAP(a, b);
    if (a > b)
        SWAP(a,
             b);
    return SQUARE(a) - SQUARE(one() + b);
}

static int unused_static(void) __attribute__((used));
static int unused_static(void)
{
    int a = 1;
    if (a)
        a++;
    return a;
}

int never(int a)
{
    for (int i = 0; i < a; i++)
        total += i;
    if (a)
        return 1;
    return 0;
}

int multi(int a, int b, int c)
{
    int x = a +
            b * c +
            (b ? c : a) +
            a / 3;
    int array[3] = {
        a,
        b,
        one(),
    };
    struct { int p, q; } s = {
        .p = a,
        .q = b,
    };
    x += array[0] + array[2]
         + s.p + s.q;
    static const char *text = "abc";
    const char *p = text;
    while (*p)
        x += *p++;
    int y;
    y = x; x = y + table[1]; total += x;
    {
        int z = y;
        ;
        total += z;
    }
    (void)y;
    return x;
}

int
split(
    int a,
    int b)
{
    if (a)
    {
        return b;
    }
    else
    {
        return
            a;
    }
}

unsigned divide(unsigned a, unsigned b)
{
    unsigned q = a / b;
    unsigned r = a % b; q += r;
    unsigned long long w = (unsigned long long)a * b / 7;
    return q + (unsigned)w;
}

double floats(double a, double b)
{
    double c = a * b;
    if (c > 1.0 && a < b)
        c = -c;
    return c / 3;
}

int apply(int (*f)(int), int x)
{
    return f(x) + f(x + 1);
}

int everything(int n)
{
    nothing();
    nothing_long();
    int r = loops(n);
    r += logic(1, 1, 1) + logic(0, 1, 0) + logic(1, 0, 0) + logic(0, 0, 0);
    for (int i = 0; i < 10; i++)
        r += choose(i);
    r += nested(3);
    r += fact(5) + fib(6);
    early(0);
    early(1);
    r += gotos(3);
    r += macros(1, 2) + macros(2, 1);
    r += multi(1, 2, 3);
    r += split(1, 2) + split(0, 2);
    r += divide(100, 7);
    r += (int)floats(1.5, 2.5);
    r += apply(fact, 3);
    return r;
}
