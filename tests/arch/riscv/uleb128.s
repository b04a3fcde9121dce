# Differences as ULEB128, of one byte to ten, and PLT32. binutils 2.40 do not know them.
# assemble: rv32 -target riscv32-freestanding-none -mcpu=baseline_rv32
# assemble: rv64 -target riscv64-freestanding-none -mcpu=baseline_rv64
# assembler: clang
# linker: lld
# at: .text=0x20000 .data=0x20001000
# host: func f=0x20000ff0
  .option norelax
  .text
a:
  ret
  .zero 200
b:
  ret
  .data
  .macro difference to, from, bytes:vararg
  .reloc ., R_RISCV_SET_ULEB128, \to
  .reloc ., R_RISCV_SUB_ULEB128, \from
  .byte \bytes
  .endm
  difference b, a, 0x80, 0
  difference b, b - 100, 0
  difference b, a, 0x80, 0x80, 0x80, 0x80, 0
  .byte 0xff
  .reloc ., R_RISCV_PLT32, f
  .word 0
  .reloc ., R_RISCV_PLT32, a
  .word 0
