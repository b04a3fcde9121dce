# A32: groups. ADD or SUB for parts of a distance, then a load or store for the rest, from PC and from the static base.
# assemble: -march=armv7-a -mfpu=vfpv3
# at: .text=0x00800000 .data=0x0
# host: ahead=0x0e345678 behind=0x00345678
  .syntax unified
  .arm
  .text
  .macro all base, to, reg
  add r0, \reg, #:\base\()_g0_nc:(\to)
  add r0, r0, #:\base\()_g1_nc:(\to)
  ldr r1, [r0, #:\base\()_g2:(\to)]
  str r1, [r0, #:\base\()_g2:(\to - 8)]
  add r0, \reg, #:\base\()_g0_nc:(\to + 4)
  add r0, r0, #:\base\()_g1_nc:(\to - 4)
  .endm
  .macro small base, to, reg
  add r0, \reg, #:\base\()_g0:(\to)
  add r0, \reg, #:\base\()_g1:(\to)
  add r0, \reg, #:\base\()_g2:(\to)
  ldr r1, [\reg, #:\base\()_g0:(\to)]
  strb r1, [\reg, #:\base\()_g1:(\to)]
  ldr r1, [\reg, #:\base\()_g2:(\to)]
  ldrh r1, [\reg, #:\base\()_g0:(\to)]
  ldrd r2, [\reg, #:\base\()_g1:(\to)]
  strh r1, [\reg, #:\base\()_g2:(\to)]
  ldc p1, c2, [\reg, #:\base\()_g0:(\to)]
  stc p1, c2, [\reg, #:\base\()_g1:(\to)]
  vldr d1, [\reg, #:\base\()_g2:(\to)]
  .endm
  all pc, ahead, pc
  all pc, behind, pc
  small pc, 1f, pc
1:
  small pc, 1b, pc
  all sb, d, r9
  small sb, d, r9
  add r0, r9, #:sb_g1:(e)
  add r0, r9, #:sb_g2:(e)
  ldr r1, [r9, #:sb_g1:(e)]
  ldrh r1, [r9, #:sb_g1:(e)]
  ldc p1, c2, [r9, #:sb_g1:(e)]
  .data
  .zero 0x20
d:
  .zero 0x3e0
e:
  .word 0
