// The classes that shapes.cpp and report.cpp share.
//
// Both files use the template Ring and the inline function alive(). Each object file gets a copy of their code and, of
// alive(), of a variable: the partial link must keep exactly one, or the two files count separately.

#pragma once

#include <llext/host.h>

// How many shapes there are. The static variable of an inline function is one for the whole extension.
inline int &alive()
{
	static int count;
	return count;
}

class Shape {
public:
	Shape() { ++alive(); }
	virtual ~Shape() { --alive(); }
	virtual int area() const = 0;
	virtual const char *name() const = 0;
};

// The last N values, oldest first. N is a power of two: a Cortex-M0+ cannot divide, so % must become a mask.
template <typename T, unsigned int N> class Ring {
	static_assert((N & (N - 1)) == 0, "N must be a power of two");

public:
	void push(T value)
	{
		slots_[(first_ + used_) % N] = value;
		if (used_ < N) {
			++used_;
		} else {
			first_ = (first_ + 1) % N;
		}
	}

	unsigned int size() const { return used_; }
	const T &operator[](unsigned int i) const { return slots_[(first_ + i) % N]; }

private:
	T slots_[N] = {};
	unsigned int first_ = 0;
	unsigned int used_ = 0;
};

Shape *make_rectangle(int width, int height);
Shape *make_square(int side);

extern Ring<int, 4> areas;
