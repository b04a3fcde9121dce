# Differences of labels in another section: several relocations at one place, and places side by side.
# assemble: rv32 -march=rv32imac -mabi=ilp32 -mno-relax
# assemble: rv64 -march=rv64gc -mabi=lp64d -mno-relax
# at: .text=0x20000 .data=0x20001000
  .option norelax
  .text
f:
  nop
  .zero 0x20
g:
  ret
  .data
  .byte g - f
  .half g - f
  .word g - f, f - g, g - f
  .dword g - f, f - g
  .word f - .
  .macro two set, sub, to, from
  .reloc ., R_RISCV_\set, \to
  .reloc ., R_RISCV_\sub, \from
  .endm
# the upper two bits of a word6 stay
  two SET6, SUB6, g, f
  .byte 0x80
  two SET6, SUB6, f, g
  .byte 0x7f
  two SET8, SUB8, g, f
  .byte 0x11
  two SET16, SUB16, g, f
  .half 0x1111
  two SET32, SUB32, g, f
  .word 0x11111111
# accumulate what is there, twice
  two ADD8, ADD8, f, g
  .byte 1
  two ADD16, SUB16, g, f
  .half 7
  two ADD32, ADD32, f, g
  .word 0x80000000
  two ADD64, SUB64, f, g
  .dword 1
  .reloc ., R_RISCV_ADD64, g
  .reloc ., R_RISCV_ADD64, g
  .reloc ., R_RISCV_SUB64, f
  .dword -1
