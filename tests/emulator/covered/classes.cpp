namespace geo {
struct Shape {
    virtual int area() const { return 0; }
    virtual ~Shape() {}
    int twice() const { return 2 * area(); }
};
class Square : public Shape {
public:
    explicit Square(int side) : side_(side)
    {
        ++alive;
    }
    ~Square() override
    {
        --alive;
    }
    int area() const override { return side_ * side_; }
    static int alive;
private:
    int side_;
};
int Square::alive = 0;
}
void operator delete(void *, unsigned long) noexcept {}
void operator delete(void *, unsigned int) noexcept {}
void operator delete(void *) noexcept {}

template <typename T> T biggest(T a, T b)
{
    return a > b ? a : b;
}

struct Counter {
    int value = 3;
    Counter &operator+=(int n)
    {
        value += n;
        return *this;
    }
};
static Counter global;

static int visit(int n)
{
    int sum = 0;
    int values[] = {1, 2, 3};
    for (int v : values)
        sum += v;
    auto add = [&sum](int x) {
        return sum += x;
    };
    add(n);
    add(2);
    return sum;
}

static int scoped(int n)
{
    geo::Square one(n);
    if (n > 3) {
        geo::Square two(2);
        return two.twice() + one.area();
    }
    return one.area();
}

enum class Color { red, green };
static int name(Color c)
{
    switch (c) {
    case Color::red:
        return 1;
    case Color::green:
        return 2;
    }
    return 0;
}

extern "C" int everything(int n)
{
    global += n;
    int r = visit(n) + scoped(n) + scoped(2);
    r += biggest(n, 3) + (int)biggest(1.5f, 2.5f);
    r += name(Color::red) + name(Color::green);
    r += geo::Square::alive;
    return r + global.value;
}
