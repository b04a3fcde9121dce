// What C++ adds: inline functions and variables in groups, vtables, templates, constructors and destructors.
#include <llext/symbol.h>

#include "api.h"
#include "more.h"

namespace
{

struct Shape {
	virtual int area() const = 0;
	int id = counter()++;
	static int &counter()
	{
		static int count = 0;
		return count;
	}
};

struct Square : Shape {
	explicit Square(int s) : side(s) {}
	int area() const override { return side * side; }
	int side;
};

template <typename T, int N> struct Ring {
	T items[N] = {};
	int at = 0;
	void put(T item) { items[at++ % N] = item; }
	T sum() const
	{
		T total = 0;
		for (T each : items) {
			total += each;
		}
		return total;
	}
};

inline Ring<int64_t, 4> recent;
Square unit(1);

} // namespace

inline int shape_total = 0;
extern "C" void __cxa_pure_virtual() { for (;;) {} }

extern "C" int shape_run(int side)
{
	Square square(side);
	const Shape *shapes[] = {&unit, &square};

	for (const Shape *shape : shapes) {
		shape_total += shape->area();
		recent.put(sensor_stamp(shape->id));
	}
	log_text("%d shapes\n", Shape::counter());
	return shape_total + static_cast<int>(recent.sum()) + more_first(side) + more_second(side);
}
EXPORT_SYMBOL(shape_run);
