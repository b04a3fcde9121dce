#include <stdint.h>
#include <stdbool.h>

typedef int (*op)(int);
struct point { int x, y; };
struct list { struct list *next; int value; };
enum kind { RED, GREEN = 4, BLUE };
volatile int sink;
struct deep { int a, b; struct deep *next; };

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define RETURN_IF(x) if (x) return
#define FOR_EACH(l, head) \
    for (struct list *l = (head); l; l = l->next)

static int inc(int x)
{
    return x + 1;
}

static struct point make(int x, int y)
{
    struct point p = {x, y};
    return p;
}

static struct point add(struct point a, struct point b)
{
    return make(a.x + b.x,
                a.y + b.y);
}

int sum_list(struct list *head)
{
    int sum = 0;
    FOR_EACH(l, head)
        sum += l->value;
    FOR_EACH(l, head) {
        if (l->value < 0) continue;
        sum += l->value;
    }
    return sum;
}

int name(enum kind k)
{
    switch (k) {
    case RED: return 'r';
    case GREEN:
        return 'g';
    case BLUE: {
        return 'b';
    }
    }
    return '?';
}

int ranges(int c)
{
    switch (c) {
    case '0' ... '9':
        return c - '0';
    case 'a' ... 'f':
    case 'A' ... 'F':
        return (c | 32) - 'a' + 10;
    case 1000000:
        return 2;
    default:
        break;
    }
    return -1;
}

void nothing_but_loop(int n)
{
    for (int i = 0; i < n; i++) {
    }
}

void tail_if(int x)
{
    if (x)
        sink = x;
}

void if_else(int x)
{
    if (x) {
        sink = 1;
    } else {
        sink = 2;
    }
}

void loop_return(int n)
{
    while (1) {
        if (n-- == 0)
            return;
        sink++;
    }
}

void hidden_return(int n)
{
    RETURN_IF(n);
    sink = n;
}

int find(const char *text, char c)
{
    for (int i = 0; text[i]; i++)
        if (text[i] == c)
            return i;
    return -1;
}

int duff(int n)
{
    int r = 0;
    switch (n % 4) {
    case 0: do { r++;
    case 3: r++;
    case 2: r++;
    case 1: r++;
            } while ((n -= 4) > 0);
    }
    return r;
}

int comma(int a)
{
    int i, j;
    for (i = 0, j = a; i < j; i++, j--)
        a += i * j;
    return (a++, a--, a);
}

static int depth(int n)
{
    return n == 0 ? 0 : 1 + depth(n - 1);
}

int mutual_b(int n);
int mutual_a(int n)
{
    return n <= 0 ? 0 : mutual_b(n - 1) + 1;
}
int mutual_b(int n) { return n <= 0 ? 1 : mutual_a(n - 2); }

int through(op f, int x)
{
    return f(f(
        f(x)));
}

int ternaries(int a, int b)
{
    int m = a > b ? a : b;
    int n = a > 0 ? (b > 0 ? 1 : 2) : (b > 0 ? 3 : 4);
    int o = a > 0
        ? inc(b)
        : inc(a);
    m = MAX(m, n) + MAX(inc(m), o);
    return m ?: n;
}

int conditions(int a, int b, int c)
{
    int r = 0;
    if ((a && b) || (b && c) || !a)
        r++;
    if (!(a
          || b))
        r += 2;
    while (a > 0 && b > 0) { a--; b--; r++; }
    while (c > 0 &&
           r < 100) {
        c--;
    }
    bool both = a > 0 && b > 0;
    r += both;
    if (a) { r++; } else if (b) { r--; } else { r += 3; }
    if (a) r++; else r--;
    return r;
}

uint64_t wide(uint64_t a, uint32_t b)
{
    uint64_t q = a / b;
    uint64_t r = a % b;
    uint64_t s = q << (b & 7);
    return q +
           r / 3 +
           s;
}

float single(float a, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += a * i;
    if (sum > 3.0f)
        return sum / 2;
    return sum;
}

int arrays(int n)
{
    int a[8] = {0};
    char b[16] = "hello";
    static int calls;
    static const uint8_t map[] = {
        1, 2,
        3,
    };
    struct point p = {.x = n,
                      .y = inc(n)};
    struct point q = add(p, (struct point){1, 2});
    calls++;
    for (int i = 0; i < 8; i++)
        for (int j = i; j > 0; --j)
            a[i] += map[j % 3] + b[j];
    return a[7] + q.x
        + q.y + calls;
}

int nested_blocks(int n)
{
    int r = 0;
    {
        int k = n;
        {
            r += k;
        }
    }
    do {
        if (n & 1) {
            r++;
            continue;
        }
        if (n > 100)
            goto fail;
        for (;;) {
            if (r > n)
                break;
            r += 3;
        }
    } while (n-- > 0);
    return r;
fail:
    r = -1;
    return r;
}

static void (*const table[])(int) = {tail_if, if_else};

int error_path(int a)
{
    int err = 0;
    if (a < 0) {
        err = -22;
        goto out;
    }
    if (a > 1000) {
        err = -12;
        goto out_free;
    }
    sink = a;
out_free:
    sink = 0;
out:
    return err;
}

int statement_expression(int a)
{
    int b = ({ int t = a; t > 3 ? t : 3; });
    int c = ({
        int t = inc(b);
        t * 2;
    });
    return b + c;
}

static inline __attribute__((always_inline)) int forced(int x)
{
    if (x > 2)
        return x;
    return 2;
}

int uses_forced(int x)
{
    return forced(x) + forced(x + 1);
}

int assembly(int x)
{
    __asm__ volatile("");
    x++;
    __asm__ volatile(
        ""
        : "+r"(x));
    return x;
}

__attribute__((noinline))
static int attributed(
    int x
)
{
    return
        x
        ;
}

int KR(a, b)
int a;
int b;
{
    return a - b;
}

int many(int a, int b, int c, int d, int e, int f, int g)
{
    return a + b + c + d + e + f + g;
}

int one_liner(int n) { int s = 0; for (int i = 0; i < n; i++) { if (i & 1) continue; s += i; } return s; }
int two_on_line(int a) { return a; } int second(int a) { return a + two_on_line(a); }

int joined(int x)
{
    int r = 0;
    switch (x) {
    case 0:
        for (int i = 0; i < 2; i++)
            r += i;
    case 1:
        if (r)
            r++;
    case 2:
        { r += 2; }
    case 3: {
        while (r < 3)
            r++;
        break;
    }
    case 4:
    case 5:
        if (r < x) {
            r--;
            if (inc(r))
                r = inc(2);
            if (inc(r) > x)
                r = inc(3);
        } else if (inc(r)) {
            r = 1;
        }
    case 6:
        for (int k = 6; k < x; k++) {
            r++;
        }
    default:
        r++;
    }
    return r;
}

int call_lines(struct deep *d); int returns_lines(struct deep *d);
int everything(int n)
{
    struct list c = {0, -3}, b = {&c, 2}, a = {&b, 1};
    int r = sum_list(&a);
    for (int k = 0; k < 6; k++) r += name((enum kind)k);
    r += ranges('7') + ranges('b') + ranges('F') + ranges('z');
    nothing_but_loop(n);
    tail_if(0);
    tail_if(2);
    if_else(0); if_else(1); if_else(2);
    loop_return(4);
    hidden_return(0);
    hidden_return(1);
    r += find("abc", 'b') + find("abc", 'z');
    r += duff(10) + comma(9);
    r += depth(6) + mutual_a(11);
    r += through(inc, 3);
    r += ternaries(1, 2) + ternaries(-1, 5) + ternaries(7, -2);
    r += conditions(1, 2, 3) + conditions(0, 1, 0) + conditions(0, 0, 200);
    r += (int)wide(1000000000000ull, 77);
    r += (int)single(1.5f, 4);
    r += arrays(n);
    r += nested_blocks(n) + nested_blocks(200);
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        table[i](n);
    r += error_path(1) + error_path(-1);
    r += statement_expression(5);
    r += uses_forced(1);
    r += assembly(2);
    r += attributed(2);
    r += KR(3, 2);
    r += many(1, 2, 3,
              4, inc(5),
              6, 7);
    struct deep dd = {1, 2, &dd}; r += call_lines(&dd) + returns_lines(&dd); dd.a = -100; r += call_lines(&dd);
    for (int i = 0; i < 9; i++)
        r += joined(i);
    r += one_liner(6) + second(2);
    return r;
}

int returns_lines(struct deep *d)
{
    return d->a +
           d->b;
}
int call_lines(struct deep *d)
{
    int r = many(1, 2, d->a,
                 d->b + 1, 5,
                 d->b, 7);
    many(1, 2, d->a,
         d->b + 1, 5,
         d->b, 7);
    if (many(1, 2, d->a, 3,
             d->b, d->a + 3, 8))
        r++;
    while (inc(r) < 20) r++;
    while (inc(r) < 30)
        r++;
    do r++; while (inc(r) < 33);
    for (int i = 0; inc(i) < 5; i = inc(i)) r += inc(i);
    for (; r < inc(50);
         r = inc(r))
        r++;
    r += inc(1), r += inc(2);
    r = inc(r) + inc(inc(r)) * (inc(r) > 3 && inc(r) < 5 ? inc(1) : inc(2));
    if (r > 3 && inc(r))
        return inc(
            d->a);
    return many(1, d->a, d->b,
                d->next ? d->next->a : 0,
                inc(d->a), 6, 7);
}
