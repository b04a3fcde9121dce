/*
 * printk() into a ring in RAM, so that it works before there is a UART, inside an interrupt, and in an emulator without
 * peripherals. A log task writes the ring out; here main() does.
 *
 * Decimal digits are found by subtracting powers of ten, hexadecimal ones by shifts within 32 bits: a division, or a
 * shift of 64 bits, is a call to the compiler's helper functions on the small cores, and the image shall need none.
 */

#include <stdarg.h>
#include <stdbool.h>

#include "services.h"

char log_buffer[LOG_SIZE];
uint32_t log_written;

struct field {
	unsigned int width;
	bool zeros;
	bool left;
};

static void put(char character)
{
	log_buffer[log_written++ % LOG_SIZE] = character;
}

static void pad(char character, unsigned int used, unsigned int width)
{
	for (; used < width; used++) {
		put(character);
	}
}

static void put_text(const char *text, unsigned int length, const struct field *field)
{
	if (!field->left) {
		pad(field->zeros ? '0' : ' ', length, field->width);
	}
	for (unsigned int i = 0; i < length; i++) {
		put(text[i]);
	}
	if (field->left) {
		pad(' ', length, field->width);
	}
}

static unsigned int decimal(char *digits, uint64_t value)
{
	static const uint64_t powers[] = {
		10000000000000000000ULL, 1000000000000000000ULL, 100000000000000000ULL, 10000000000000000ULL,
		1000000000000000ULL,     100000000000000ULL,     10000000000000ULL,     1000000000000ULL,
		100000000000ULL,         10000000000ULL,         1000000000ULL,         100000000ULL,
		10000000ULL,             1000000ULL,             100000ULL,             10000ULL,
		1000ULL,                 100ULL,                 10ULL,                 1ULL,
	};
	unsigned int length = 0;

	for (unsigned int i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) {
		char digit = '0';

		while (value >= powers[i]) {
			value -= powers[i];
			digit++;
		}
		if (length > 0 || digit != '0' || powers[i] == 1) {
			digits[length++] = digit;
		}
	}
	return length;
}

static unsigned int hexadecimal(char *digits, uint64_t value)
{
	unsigned int length = 0;

	uint32_t words[] = {(uint32_t)(value >> 32), (uint32_t)value};

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int digit = words[i / 8] >> 28;

		words[i / 8] <<= 4;
		if (length > 0 || digit != 0 || i == 15) {
			digits[length++] = "0123456789abcdef"[digit];
		}
	}
	return length;
}

/* An integer argument of the size that `longs` times `l` says, with its sign if it has one. */
static uint64_t argument(va_list *args, int longs, bool with_sign)
{
	switch (longs) {
	case 0:
		return with_sign ? (uint64_t)va_arg(*args, int) : va_arg(*args, unsigned int);
	case 1:
		return with_sign ? (uint64_t)va_arg(*args, long) : va_arg(*args, unsigned long);
	default:
		return va_arg(*args, unsigned long long);
	}
}

static void put_number(va_list *args, char kind, int longs, struct field *field)
{
	bool with_sign = kind == 'd' || kind == 'i';
	uint64_t value = argument(args, longs, with_sign);
	char digits[20];
	unsigned int length;

	if (with_sign && (int64_t)value < 0) {
		value = 0 - value;
		if (field->zeros) {
			put('-');
			field->width -= field->width > 0;
			length = decimal(digits, value);
		} else {
			digits[0] = '-'; /* at most 19 digits follow */
			length = 1 + decimal(digits + 1, value);
		}
	} else {
		length = kind == 'x' ? hexadecimal(digits, value) : decimal(digits, value);
	}
	put_text(digits, length, field);
}

void printk(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format != '\0'; format++) {
		struct field field = {0};
		int longs = 0;
		const char *text;
		char character;

		if (*format != '%') {
			put(*format);
			continue;
		}
		for (format++; *format == '0' || *format == '-'; format++) {
			field.zeros |= *format == '0';
			field.left |= *format == '-';
		}
		for (; *format >= '0' && *format <= '9'; format++) {
			field.width = field.width * 10 + (unsigned int)(*format - '0');
		}
		for (; *format == 'l' || *format == 'z'; format++) {
			longs++;
		}
		switch (*format) {
		case 'd':
		case 'i':
		case 'u':
		case 'x':
			put_number(&args, *format, longs, &field);
			break;
		case 'p':
			put('0');
			put('x');
			put_number(&args, 'x', 1, &field);
			break;
		case 's':
			field.zeros = false;
			text = va_arg(args, const char *);
			text = text != NULL ? text : "(null)";
			put_text(text, (unsigned int)strlen(text), &field);
			break;
		case 'c':
			field.zeros = false;
			character = (char)va_arg(args, int);
			put_text(&character, 1, &field);
			break;
		case '%':
			put('%');
			break;
		default: /* not understood: show it, so that somebody notices */
			put('%');
			format--;
			break;
		}
		if (*format == '\0') {
			break;
		}
	}
	va_end(args);
}
