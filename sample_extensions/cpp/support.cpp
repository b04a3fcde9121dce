// What C++ expects of its run-time library, for an extension that brings its own: memory comes from the kernel's heap,
// and a call to a function that a class does not have ends the extension.

#include <llext/host.h>

void *operator new(size_t size)
{
	void *block = k_malloc(size);

	if (block == nullptr) {
		abort(); // without exceptions there is no other way to say that
	}
	return block;
}

void operator delete(void *block) noexcept
{
	k_free(block);
}

void operator delete(void *block, size_t) noexcept
{
	k_free(block);
}

extern "C" void __cxa_pure_virtual()
{
	abort();
}
