// cpp: classes with virtual functions, templates in two files, and a static object with a constructor.
//
// The exported function has extern "C" linkage: its name in the file is then the name that others look up.

#include <llext/symbol.h>

#include "shape.hpp"

namespace {

// Constructed by llext_bringup(), through .init_array, before the first call. A destructor would run in
// llext_teardown(), through .fini_array.
class Unit {
public:
	explicit Unit(int scale) : scale_(scale) { printk("unit of %d constructed\n", scale); }
	int scale(int area) const { return scale_ * area; }

private:
	int scale_;
};

Unit unit(10);

Ring<const char *, 2> names;

} // namespace

extern "C" int report(int side)
{
	Shape *shapes[] = {
		make_square(side), make_rectangle(side, side + 1), make_square(1), make_rectangle(2, 3), make_square(2),
	};
	int sum = 0;

	for (Shape *shape : shapes) {
		printk("%s of area %d\n", shape->name(), unit.scale(shape->area()));
		sum += unit.scale(shape->area());
		names.push(shape->name());
	}
	printk("%d alive; last areas:", alive());
	for (unsigned int i = 0; i < areas.size(); i++) {
		printk(" %d", areas[i]);
	}
	printk("; last names: %s, %s\n", names[0], names[1]);
	for (Shape *shape : shapes) {
		delete shape;
	}
	printk("%d alive\n", alive());
	return sum;
}
EXPORT_SYMBOL(report);
