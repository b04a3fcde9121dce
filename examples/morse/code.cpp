/* C++ with a static object: its constructor runs at bringup, its destructor at teardown. */

#include <llext/host.h>

#include "code.h"

namespace {

struct Book {
	static constexpr const char *letters[] = {
		".-",   "-...", "-.-.", "-..",  ".",   "..-.", "--.",  "....", "..",
		".---", "-.-",  ".-..", "--",   "-.",  "---",  ".--.", "--.-", ".-.",
		"...",  "-",    "..-",  "...-", ".--", "-..-", "-.--", "--..",
	};

	Book() { printk("book opened\n"); }
	~Book() { printk("book closed\n"); }

	const char *find(char letter) const
	{
		unsigned int index = (letter | 0x20) - 'a';

		return index < sizeof(letters) / sizeof(letters[0]) ? letters[index] : nullptr;
	}
};

Book book;

} // namespace

const char *code_of(char letter)
{
	return book.find(letter);
}
