# ALIGN and RELAX where the padding is right as it is, so that no linker removes any of it.
# assemble: rv32 -march=rv32imac -mabi=ilp32 -mrelax
# assemble: rv64 -march=rv64gc -mabi=lp64d -mrelax
# at: .text=0x20000
# host: func f=0x24000
  .text
  .option relax
  c.nop
  .p2align 2
  call f
  c.nop
  c.nop
  c.nop
  .p2align 3
  ret
