# Branches, jumps and calls, near, far, backward, and at the limits of JAL.
# assemble: rv32 -march=rv32imac -mabi=ilp32 -mno-relax
# assemble: rv64 -march=rv64gc -mabi=lp64d -mno-relax
# at: .text=0x20000
# host: func near=0x20100 back=0x1ff00 ahead=0x11fffe behind=0x00f000 far=0x4abcdef0
  .text
  .option norelax
first:
  beq a0, a1, near
  bltu a0, a1, back
  jal near
  j ahead
  j behind
  call far
  call back
  tail near
  call last
  .reloc ., R_RISCV_CALL_PLT, far
  auipc ra, 0
  jalr ra, 0(ra)
  .reloc ., R_RISCV_CALL, back
  auipc ra, 0
  jalr ra, 0(ra)
  .reloc ., R_RISCV_RVC_BRANCH, 1f
  .short 0xc401
  .reloc ., R_RISCV_RVC_BRANCH, first
  .short 0xe781
1:
  .reloc ., R_RISCV_RVC_JUMP, near
  .short 0xa001
  .reloc ., R_RISCV_RVC_JUMP, back
  .short 0xa001
  c.beqz a2, back
  c.j near
  .reloc ., R_RISCV_NONE, near
  ret
  .global last
  .type last, @function
last:
  bne a0, a1, first
  ret
