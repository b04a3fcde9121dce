# Thread-local data: distances from the thread pointer, which is the start of the block.
# assemble: rv32 -march=rv32imac -mabi=ilp32 -mno-relax
# assemble: rv64 -march=rv64gc -mabi=lp64d -mno-relax
# at: .text=0x20000 .tdata=0x30000000
  .option norelax
  .text
  lui a0, %tprel_hi(x)
  add a0, a0, tp, %tprel_add(x)
  addi a1, a0, %tprel_lo(x)
  lui a0, %tprel_hi(y)
  add a0, a0, tp, %tprel_add(y)
  lw a1, %tprel_lo(y)(a0)
  sw a1, %tprel_lo(y + 4)(a0)
  .section .tdata, "awT", @progbits
  .zero 4
x:
  .word 1
  .zero 0x1ff8
y:
  .word 2, 3
