/*
 * uint32_t rotate_right(uint32_t word, uint32_t count), once for each architecture.
 *
 * `.type` matters to loaders: a label without it is no function, and a Thumb function's address would lose the bit
 * that says so.
 */

	.text
	.globl	rotate_right
	.type	rotate_right, %function

#if defined(__arm__)

	.syntax	unified
	.thumb
	.thumb_func
rotate_right:
	rors	r0, r0, r1
	bx	lr

#elif defined(__riscv)

#if __riscv_xlen == 64
#define SRL srlw
#define SLL sllw
#else
#define SRL srl
#define SLL sll
#endif

rotate_right:
	neg	a2, a1			/* the shift takes the low 5 bits: 32 - count */
	SRL	a3, a0, a1
	SLL	a0, a0, a2
	or	a0, a0, a3
	ret

#else
#error "rotate_right() has no version for this architecture"
#endif

	.size	rotate_right, . - rotate_right

	.section .note.GNU-stack, "", %progbits
