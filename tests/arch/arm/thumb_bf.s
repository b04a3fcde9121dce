# Branch future, Armv8.1-M: BF, BFL, BFCSEL to functions of the host.
# assemble: -march=armv8.1-m.main
# at: .text=0x8000
# host: func near=0x8101 back=0x7e01 edge=0x17f01
  .syntax unified
  .thumb
  .text
  bf 1f, near
  bf 1f, back
  bf 1f, edge
  bfl 1f, near
  bfl 1f, back
  bfl 1f, edge
  .reloc ., R_ARM_THM_BF12, near
  .inst.w 0xf000e001
  .reloc ., R_ARM_THM_BF12, back
  .inst.w 0xf000e001
1:
  nop
