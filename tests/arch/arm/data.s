# Words, halfwords and bytes that hold addresses of functions, of data, and distances.
# assemble: -mcpu=cortex-m4
# at: .text=0x8000 .data=0x20000000
# host: func thumb=0x9101
# host: object=0x20001234 small=0x7f half=0x8123
  .syntax unified
  .thumb
  .text
  .global f
  .type f, %function
  .thumb_func
f:
  bx lr
  .p2align 2
  .word d - ., thumb - .
  .data
d:
  .word f, thumb, object, thumb + 8, f + 2, d, object - 4
  .word f - ., object - ., thumb - .
  .word thumb(target1), object(target1), f(target1)
  .word thumb(target2), object(target2)
  .reloc ., R_ARM_PREL31, f
  .word 0x80000000
  .reloc ., R_ARM_PREL31, object
  .word 0x7ffffffc
  .reloc ., R_ARM_ABS32_NOI, thumb
  .word 4
  .reloc ., R_ARM_REL32_NOI, thumb
  .word -4
  .short half, half + 1, small
  .byte small, small - 0x80
  .reloc ., R_ARM_NONE, object
# at an odd address
  .byte 0
  .word thumb
  .word object - .
