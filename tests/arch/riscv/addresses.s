# Absolute and PC-relative addresses: rounding of the high part, several low parts to one high part, stores.
# assemble: rv32 -march=rv32imac -mabi=ilp32 -mno-relax
# assemble: rv64 -march=rv64gc -mabi=lp64d -mno-relax
# at: .text=0x20000 .data=0x20001000
# host: func f=0x4abcdef0
# host: object=0x12345fff up=0x12345800 down=0x123457ff small=0x7ff little=0x12800 zero=0x10
  .text
  .option norelax
first:
  lui a0, %hi(object)
  addi a0, a0, %lo(object)
  lw a1, %lo(object + 4)(a0)
  sw a1, %lo(object + 8)(a0)
  lui a0, %hi(up)
  sb a1, %lo(up)(a0)
  lui a0, %hi(down)
  lb a1, %lo(down)(a0)
  lui a0, %hi(small - 0x10)
  lb a1, %lo(small - 0x10)(a0)
1:
  auipc a0, %pcrel_hi(d)
  addi a1, a0, %pcrel_lo(1b)
  sw a1, %pcrel_lo(1b)(a0)
2:
  auipc a3, %pcrel_hi(f + 0x7f0)
  lw a4, %pcrel_lo(1b)(a0)
  lw a4, %pcrel_lo(2b)(a3)
3:
  auipc a3, %pcrel_hi(first)
  sh a4, %pcrel_lo(3b)(a3)
# c.lui a5, 1: becomes c.li a5, 0 where the high part is 0
  .reloc ., R_RISCV_RVC_LUI, little
  .short 0x6785
  .reloc ., R_RISCV_RVC_LUI, zero
  .short 0x6785
  ret
  .data
  .zero 0x7fc
d:
  .word d, object, first + 4, f
  .dword d, object - 8
  .byte 0
# at an odd address
  .word f
  .dword object
  .reloc ., R_RISCV_32_PCREL, f
  .word 0
  .reloc ., R_RISCV_32_PCREL, d - 4
  .word 0
