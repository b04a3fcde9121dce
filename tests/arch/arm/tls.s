# Thread-local data: distances from the thread pointer, which is 8 bytes before the block, and from the block.
# assemble: -mcpu=cortex-m4
# at: .text=0x8000 .data=0x20000000 .tdata=0x30000000
  .syntax unified
  .thumb
  .text
  .word x(tpoff), y(tpoff), y(tlsldo), y(tlsldo) + 4
  .data
  .word y(tpoff)
  .section .tdata, "awT", %progbits
  .zero 4
x:
  .word 1
y:
  .word 2
