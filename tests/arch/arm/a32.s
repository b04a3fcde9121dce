# A32: branches, MOVW and MOVT, loads.
# assemble: -march=armv7-a
# at: .text=0x8000 .data=0x0
# host: func near=0x8100 back=0x7e00 far=0x02007000
# host: object=0x2001f234 low=0x123
# host: func thumb=0x9101
  .syntax unified
  .arm
  .text
first:
  bl near
  bl back
  bl far
  bl last
  blne near
  b near
  bhi back
  b last
  .reloc ., R_ARM_PC24, near
  .inst 0xebfffffe
  .reloc ., R_ARM_PLT32, back
  .inst 0xebfffffe
  bl near(PLT)
  movw r0, #:lower16:thumb
  movt r0, #:upper16:thumb
  movw r11, #:lower16:object
  movt r11, #:upper16:object
  movw r0, #:lower16:(object + 0x7ff0)
  movt r0, #:upper16:(object + 0x7ff0)
  movw r0, #:lower16:(thumb - .)
  movt r0, #:upper16:(thumb - .)
  movw r0, #:lower16:(d - .)
  movt r0, #:upper16:(d - .)
  .reloc ., R_ARM_MOVW_BREL_NC, d
  movw r5, #4
  .reloc ., R_ARM_MOVW_BREL, d
  movw r5, #0x7abc
  .reloc ., R_ARM_MOVT_BREL, d
  movt r5, #0
  .reloc ., R_ARM_ABS12, low
  ldr r3, [r0, #0]
  .reloc ., R_ARM_ABS12, low
  str r3, [r0, #0x111]
  .reloc ., R_ARM_V4BX
  bx lr
  .global last
  .type last, %function
last:
  b first
  .data
  .zero 0x20
d:
  .word 0
