// atexit() inside an extension: how destructors of static objects run at teardown.
//
// With -fno-use-cxa-atexit GCC puts the destructors of a file's objects into .fini_array by itself; Clang registers
// each with atexit(), and so does GCC for static objects in functions. Firmware exports no atexit(), and its own would
// be wrong: the destructors must run when the extension goes, not when the firmware does. This file is in an archive,
// so only extensions that need it get it.

namespace {

constexpr unsigned int limit = 32; // as C asks for

void (*registered[limit])();
unsigned int count;

__attribute__((destructor)) void run_registered()
{
	while (count > 0) {
		registered[--count]();
	}
}

} // namespace

extern "C" int atexit(void (*function)())
{
	if (count == limit) {
		return -1;
	}
	registered[count++] = function;
	return 0;
}
