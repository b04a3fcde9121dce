@ An extension with what goes wrong most often: imports of every kind, several places, two files.
        .syntax unified
        .cpu    cortex-m4
        .thumb
        .section .text, "ax"
        .global blink_start
        .type   blink_start, %function
blink_start:
        push    {r4, lr}
        bl      printk
        bl      gpio_pin_sett
        bl      gpio_pin_sett
        bl      __aeabi_ldivmod
        bl      printk
        bl      printk
        bl      printk
        bl      printk
        bl      printk
        pop     {r4, pc}
        .size   blink_start, . - blink_start

        .section .rodata
name:   .asciz  "blink_start"
        .section .exported_sym, "a"
        .balign 4
        .word   name, blink_start
        .data
        .word   k_msleep, _ZdlPvj, blink_start
        .bss
        .space  40
