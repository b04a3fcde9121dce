/*
 * printk() and its relatives: to the console, or into a buffer.
 *
 * Nothing here divides, shifts or multiplies 64-bit numbers, and `double` is taken apart as bits: each of these is a call
 * to the compiler's helper functions on the small cores, and the image shall need none. Decimal digits are found by
 * subtracting powers of ten, hexadecimal ones by shifts within 32 bits.
 */

#include <stdbool.h>

#include "services.h"

struct output {
	char *buffer; /* NULL: the console */
	size_t room;  /* in the buffer, without the NUL */
	size_t length;
};

struct field {
	unsigned int width;
	int precision; /* -1 if there is none */
	bool zeros;
	bool left;
	bool negative; /* a sign comes before the digits */
};

#define MOST_DIGITS    20 /* of an integer */
#define MOST_PRECISION 20

static void put(struct output *out, char character)
{
	if (out->buffer == NULL) {
		console_putc(character);
	} else if (out->length < out->room) {
		out->buffer[out->length] = character;
	}
	out->length++;
}

static void pad(struct output *out, char character, unsigned int used, unsigned int width)
{
	for (; used < width; used++) {
		put(out, character);
	}
}

static void put_text(struct output *out, const char *text, unsigned int length, const struct field *field)
{
	unsigned int used = length + field->negative;

	if (!field->left && !field->zeros) {
		pad(out, ' ', used, field->width);
	}
	if (field->negative) {
		put(out, '-');
	}
	if (!field->left && field->zeros) {
		pad(out, '0', used, field->width);
	}
	for (unsigned int i = 0; i < length; i++) {
		put(out, text[i]);
	}
	if (field->left) {
		pad(out, ' ', used, field->width);
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
	uint32_t words[2];

	memcpy(words, &value, sizeof(words)); /* the lower half comes first */
	for (unsigned int i = 0; i < 16; i++) {
		uint32_t *word = &words[i < 8];
		unsigned int digit = *word >> 28;

		*word <<= 4;
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

static void put_number(struct output *out, va_list *args, char kind, int longs, struct field *field)
{
	bool with_sign = kind == 'd' || kind == 'i';
	uint64_t value = argument(args, longs, with_sign);
	char digits[MOST_DIGITS];

	field->negative = with_sign && (int64_t)value < 0;
	value = field->negative ? 0 - value : value;
	put_text(out, digits, kind == 'x' ? hexadecimal(digits, value) : decimal(digits, value), field);
}

/*
 * A fixed-point number in pieces of 16 bits, the lowest first: the point is in the middle, 64 bits on each side.
 * That is exact for numbers from 2^-12 to 2^63; smaller ones lose bits that no digit which is asked for depends on.
 */
#define PIECES 8
#define POINT  4

/* Multiply the lowest `count` pieces; what goes beyond them is returned. */
static unsigned int times(uint16_t *pieces, unsigned int count, unsigned int factor)
{
	unsigned int carry = 0;

	for (unsigned int i = 0; i < count; i++) {
		carry += pieces[i] * factor;
		pieces[i] = (uint16_t)carry;
		carry >>= 16;
	}
	return carry;
}

static void halve(uint16_t *pieces)
{
	unsigned int carry = 0;

	for (unsigned int i = PIECES; i-- > 0;) {
		unsigned int piece = pieces[i];

		pieces[i] = (uint16_t)(carry | piece >> 1);
		carry = (piece & 1) << 15;
	}
}

/* Add one to the last digit, and so on to the left. The first digit is a zero. */
static void round_up(char *end)
{
	for (;;) {
		end--;
		if (*end == '9') {
			*end = '0';
		} else if (*end != '.') {
			++*end;
			return;
		}
	}
}

/* %f: the nearest number with that many digits; of two that are equally near, the one whose last digit is even. */
static void put_double(struct output *out, double value, struct field *field)
{
	unsigned int precision = field->precision < 0 ? 6 : (unsigned int)field->precision;
	char text[1 + MOST_DIGITS + 1 + MOST_PRECISION];
	uint16_t pieces[PIECES] = {0};
	uint32_t words[2];
	uint64_t whole;
	bool above, half;
	unsigned int length = 1;
	int exponent;

	memcpy(words, &value, sizeof(words));
	field->negative = words[1] >> 31;
	exponent = (int)(words[1] >> 20 & 0x7FF) - 1075; /* of two, for the 53 bits of the fraction as an integer */
	words[1] = (words[1] & 0xFFFFF) | 0x100000;
	if (exponent > 10) {
		bool is_nan = exponent == 0x7FF - 1075 && ((words[1] & 0xFFFFF) | words[0]) != 0;

		field->zeros = false;
		put_text(out, is_nan ? "nan" : exponent == 0x7FF - 1075 ? "inf" : "big", 3, field);
		return;
	}
	memcpy(&pieces[POINT], words, sizeof(words));
	for (; exponent > 0; exponent--) {
		times(pieces, PIECES, 2);
	}
	for (; exponent < 0 && exponent > -1075; exponent++) {
		halve(pieces);
	}
	if (exponent < 0) { /* zero, or so small that it has another format */
		memset(pieces, 0, sizeof(pieces));
	}

	memcpy(&whole, &pieces[POINT], sizeof(whole));
	text[0] = '0';
	length += decimal(text + 1, whole);
	precision = precision < MOST_PRECISION ? precision : MOST_PRECISION;
	if (precision > 0) {
		text[length++] = '.';
	}
	for (; precision > 0; precision--) {
		text[length++] = (char)('0' + times(pieces, POINT, 10));
	}
	half = pieces[3] >= 0x8000;
	above = half && ((pieces[3] & 0x7FFF) | pieces[2] | pieces[1] | pieces[0]) != 0;
	if (above || (half && (text[length - 1] & 1) != 0)) {
		round_up(text + length);
	}
	put_text(out, text + (text[0] == '0'), length - (text[0] == '0'), field);
}

/* Digits, or `*` for the next argument. */
static const char *read_number(const char *format, int *number, va_list *args)
{
	if (*format == '*') {
		*number = va_arg(*args, int);
		return format + 1;
	}
	for (*number = 0; *format >= '0' && *format <= '9'; format++) {
		*number = *number * 10 + (*format - '0');
	}
	return format;
}

/* What follows a `%`. Returns where the text goes on. */
static const char *put_field(struct output *out, const char *format, va_list *args)
{
	struct field field = {.precision = -1};
	unsigned int length = 0;
	int width = 0;
	int longs = 0;
	const char *text;
	char character;

	for (; *format == '0' || *format == '-'; format++) {
		field.zeros |= *format == '0';
		field.left |= *format == '-';
	}
	format = read_number(format, &width, args);
	field.width = width > 0 ? (unsigned int)width : 0;
	if (*format == '.') {
		format = read_number(format + 1, &field.precision, args);
	}
	for (; *format == 'l' || *format == 'z'; format++) {
		longs++;
	}
	switch (*format) {
	case 'd':
	case 'i':
	case 'u':
	case 'x':
		put_number(out, args, *format, longs, &field);
		break;
	case 'p':
		put(out, '0');
		put(out, 'x');
		put_number(out, args, 'x', 1, &field);
		break;
	case 'f':
		put_double(out, va_arg(*args, double), &field);
		break;
	case 's':
		field.zeros = false;
		text = va_arg(*args, const char *);
		text = text != NULL ? text : "(null)";
		while (text[length] != '\0' && length != (unsigned int)field.precision) {
			length++;
		}
		put_text(out, text, length, &field);
		break;
	case 'c':
		field.zeros = false;
		character = (char)va_arg(*args, int);
		put_text(out, &character, 1, &field);
		break;
	case '%':
		put(out, '%');
		break;
	default: /* not understood: show it, so that somebody notices */
		put(out, '%');
		return format;
	}
	return format + 1;
}

static void print(struct output *out, const char *format, va_list *args)
{
	while (*format != '\0') {
		if (*format == '%') {
			format = put_field(out, format + 1, args);
		} else {
			put(out, *format++);
		}
	}
}

/* `va_list` may be an array, whose address is not that of a parameter: hence the copies. */
static int print_copy(struct output *out, const char *format, va_list args)
{
	va_list copy;

	va_copy(copy, args);
	print(out, format, &copy);
	va_end(copy);
	return (int)out->length;
}

void vprintk(const char *format, va_list args)
{
	struct output out = {0};

	print_copy(&out, format, args);
}

int vsnprintf(char *buffer, size_t size, const char *format, va_list args)
{
	char none;
	struct output out = {.buffer = size > 0 ? buffer : &none, .room = size > 0 ? size - 1 : 0};
	int length = print_copy(&out, format, args);

	if (size > 0) {
		buffer[out.length < out.room ? out.length : out.room] = '\0';
	}
	return length;
}

void printk(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintk(format, args);
	va_end(args);
}

int printf(const char *format, ...)
{
	struct output out = {0};
	va_list args;

	va_start(args, format);
	print(&out, format, &args);
	va_end(args);
	return (int)out.length;
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buffer, size, format, args);
	va_end(args);
	return length;
}

int putchar(int character)
{
	console_putc((char)character);
	return (unsigned char)character;
}

int puts(const char *text)
{
	while (*text != '\0') {
		console_putc(*text++);
	}
	console_putc('\n');
	return 0;
}
