/* What makes compilers emit relocations: calls, tables, jump tables, weak and thread-local symbols, 64-bit helpers. */
extern int ext(int);
extern int array[];
extern char *name;
extern int weak_function(int) __attribute__((weak));
extern int weak_value __attribute__((weak));
static int table[] = {1, 2, 3};

int (*const functions[])(int) = {ext, weak_function};
int *const inside = &table[1];

int choose(int x) {
  switch (x) {
    case 0: return ext(1);
    case 1: return ext(7);
    case 2: return array[0];
    case 3: return table[x];
    case 4: return ext(9);
    case 5: return 3;
    case 6: return ext(2) + 1;
    case 7: return 12;
    case 8: return ext(0);
  }
  return 0;
}

int weak(int x) { return weak_function ? weak_function(x) : &weak_value ? weak_value : 0; }

#ifndef NO_TLS
static _Thread_local int local_tls;
_Thread_local int global_tls = 5;

int tls(int x) {
  local_tls = x;
  return global_tls + local_tls;
}
#endif

static __attribute__((noinline)) int cold(int x) { return ext(x) * table[x & 1]; }

int branches(int x) {
  if (__builtin_expect(x == 3, 0)) return cold(x);
  return x > 5 ? ext(x) : cold(x + 1);
}

double helpers(double a, float b, unsigned long long c) { return a * b + (double)(c / 37) / 3.7; }

const char *text(int x) { return x ? "a string" : name; }
