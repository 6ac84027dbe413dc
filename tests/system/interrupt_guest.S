/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that needs interrupts and nothing else: it counts those of its local APIC's timer and of the 8254 through the 8259A,
 * halting in between, starts its second CPU, which answers by an interrupt, and says "timer", "pit", "cpu" on the serial port.
 * Entered in 64-bit mode with all below 4 GiB where it is; ends by the debug exit with 7.
 */
        .set APIC, 0xfee00000
        .set IDT, 0x300000
        .set COUNTS, 0x310000           /* a 32-bit count for each vector */
        .set STACK, 0x320000
        .set TRAMPOLINE, 0x8000

        .text
        .code64
        .globl _start
_start:
        mov $STACK, %esp
        lea idt_pointer(%rip), %rax
        lidt (%rax)
        mov $0x20, %edi                 /* of the 8259A */
        lea on_pit(%rip), %rsi
        call set_gate
        mov $0x40, %edi                 /* of the timer */
        lea on_timer(%rip), %rsi
        call set_gate
        mov $0x41, %edi                 /* of the other CPU */
        lea on_message(%rip), %rsi
        call set_gate

        mov $APIC, %ebx
        movl $0x1ff, 0xf0(%rbx)         /* switched on */
        movl $0x700, 0x350(%rbx)        /* LINT0: the 8259A */
        movl $0xb, 0x3e0(%rbx)          /* nanoseconds as they are */
        movl $0x20040, 0x320(%rbx)      /* again and again */
        movl $2000000, 0x380(%rbx)      /* 2 ms */
        mov $0x40, %edi
        mov $5, %ebp
        call await
        movl $0x10040, 0x320(%rbx)
        lea said_timer(%rip), %rsi
        call say

        lea pic_words(%rip), %rsi
        mov $8, %ecx
next_word:
        movzwl (%rsi), %edx
        movb 2(%rsi), %al
        outb %al, %dx
        add $3, %rsi
        loop next_word
        mov $0x34, %al                  /* the 8254 at 500 Hz */
        outb %al, $0x43
        mov $2386 & 255, %al
        outb %al, $0x40
        mov $2386 >> 8, %al
        outb %al, $0x40
        mov $0x20, %edi
        mov $5, %ebp
        call await
        mov $0xff, %al
        outb %al, $0x21
        lea said_pit(%rip), %rsi
        call say

        lea trampoline(%rip), %rsi
        mov $TRAMPOLINE, %edi
        mov $trampoline_end - trampoline, %ecx
        rep movsb
        movl $1 << 24, 0x310(%rbx)
        movl $0xc500, 0x300(%rbx)       /* INIT */
        movl $0x8500, 0x300(%rbx)
        movl $0x4600 + TRAMPOLINE / 4096, 0x300(%rbx)
        mov $0x41, %edi
        mov $1, %ebp
        call await
        lea said_cpu(%rip), %rsi
        call say
        mov $7, %al
        outb %al, $0xf4
        hlt

/* Vector edi leads to rsi. */
set_gate:
        shl $4, %rdi
        add $IDT, %rdi
        mov %cs, %eax
        mov %si, (%rdi)
        mov %ax, 2(%rdi)
        movw $0x8e00, 4(%rdi)
        shr $16, %rsi
        mov %si, 6(%rdi)
        movq $0, 8(%rdi)
        ret

/* Halts until the count of vector edi is ebp. */
await:
        cli
        cmp %ebp, COUNTS(,%rdi,4)
        jae 1f
        sti
        hlt
        jmp await
1:      ret

say:
        mov $0x3f8, %edx
        mov $6, %ecx
        rep outsb
        ret

on_timer:
        incl COUNTS + 4 * 0x40
        movl $0, 0xb0(%rbx)
        iretq
on_message:
        incl COUNTS + 4 * 0x41
        movl $0, 0xb0(%rbx)
        iretq
on_pit:
        push %rax
        incl COUNTS + 4 * 0x20
        mov $0x20, %al
        outb %al, $0x20
        pop %rax
        iretq

idt_pointer:
        .word 0xfff
        .quad IDT
said_timer:
        .ascii "timer "
said_pit:
        .ascii "pit   "
said_cpu:
        .ascii "cpu   "
pic_words:                              /* port, value */
        .irp word, 0x1120, 0x2021, 0x0421, 0x0121, 0xfe21, 0x11a0, 0x28a1, 0xffa1
        .word \word & 0xff
        .byte \word >> 8
        .endr

/* The second CPU, in real mode at TRAMPOLINE: to flat 32 bits, a message to the first, and rest. */
        .code16
trampoline:
        cli
        mov %cs, %ax
        mov %ax, %ds
        lgdtl gdt_pointer - trampoline
        mov $1, %eax
        mov %eax, %cr0
        ljmpl $8, $TRAMPOLINE + flat - trampoline
        .code32
flat:
        mov $16, %eax
        mov %eax, %ds
        movl $0x1ff, APIC + 0xf0
        movl $0, APIC + 0x310
        movl $0x4041, APIC + 0x300
1:      hlt
        jmp 1b
        .balign 8
gdt:
        .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word 23
        .long TRAMPOLINE + gdt - trampoline
trampoline_end:
