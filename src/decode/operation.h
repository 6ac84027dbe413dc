/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What x86 instructions do, a name for each meaning that an engine tells apart: AMD64 APM vol. 3, Intel SDM vol. 2.
 *
 * Conditional ones (JCC, CMOVCC, SETCC) are one operation each; the condition is in the low four bits of the opcode.
 * x87, MMX, SSE and AVX instructions are few operations, because engines execute them as they stand on the host's
 * processor: what matters there is which memory and which general registers they touch (see instruction.h).
 */
#pragma once

/* clang-format off */
#define OPERATIONS(X)                                                                                                 \
        X(INVALID)                                                                                                    \
        /* Arithmetic and logic. */                                                                                   \
        X(ADD) X(OR) X(ADC) X(SBB) X(AND) X(SUB) X(XOR) X(CMP) X(TEST) X(NOT) X(NEG) X(INC) X(DEC) X(MUL)             \
        X(IMUL) X(IMUL2) X(DIV) X(IDIV) X(ROL) X(ROR) X(RCL) X(RCR) X(SHL) X(SHR) X(SAR) X(SHLD) X(SHRD) X(BT)        \
        X(BTS) X(BTR) X(BTC) X(BSF) X(BSR) X(TZCNT) X(LZCNT) X(POPCNT) X(BSWAP) X(CRC32) X(ADCX) X(ADOX) X(DAA)       \
        X(DAS) X(AAA) X(AAS) X(AAM) X(AAD)                                                                            \
        /* Data movement. */                                                                                          \
        X(MOV) X(MOVZX) X(MOVSX) X(MOVBE) X(MOVNTI) X(LEA) X(XCHG) X(XADD) X(CMPXCHG) X(CMPXCHG8B) X(CMOVCC)          \
        X(SETCC) X(PUSH) X(POP) X(PUSHA) X(POPA) X(PUSHF) X(POPF) X(ENTER) X(LEAVE) X(XLAT) X(WIDEN) X(WIDEN_DX)      \
        X(LOAD_FAR) X(MOV_FROM_SEGMENT) X(MOV_TO_SEGMENT) X(PUSH_SEGMENT) X(POP_SEGMENT) X(MOVS) X(CMPS) X(STOS)      \
        X(LODS) X(SCAS) X(INS) X(OUTS) X(IN) X(OUT)                                                                   \
        /* Flags. */                                                                                                  \
        X(CLC) X(STC) X(CMC) X(CLD) X(STD) X(CLI) X(STI) X(LAHF) X(SAHF) X(SALC) X(CLAC) X(STAC)                      \
        /* Control transfer. */                                                                                       \
        X(JMP) X(JCC) X(CALL) X(RET) X(JMP_FAR) X(CALL_FAR) X(RET_FAR) X(LOOP) X(LOOPE) X(LOOPNE) X(JCXZ) X(INT)      \
        X(INT1) X(INT3) X(INTO) X(IRET) X(BOUND) X(SYSCALL) X(SYSRET) X(SYSENTER) X(SYSEXIT) X(UD)                    \
        /* System. */                                                                                                 \
        X(HLT) X(CPUID) X(RDTSC) X(RDTSCP) X(RDPMC) X(RDMSR) X(WRMSR) X(CLTS) X(INVD) X(WBINVD) X(INVLPG)             \
        X(INVPCID) X(SGDT) X(SIDT) X(LGDT) X(LIDT) X(SLDT) X(STR) X(LLDT) X(LTR) X(VERR) X(VERW) X(SMSW) X(LMSW)      \
        X(LAR) X(LSL) X(ARPL) X(MOV_FROM_CONTROL) X(MOV_TO_CONTROL) X(MOV_FROM_DEBUG) X(MOV_TO_DEBUG) X(SWAPGS)       \
        X(XGETBV) X(XSETBV) X(MONITOR) X(MWAIT) X(VMCALL) X(RSM) X(RDFSBASE) X(RDGSBASE) X(WRFSBASE) X(WRGSBASE)      \
        X(RDRAND) X(RDSEED) X(RDPID) X(RDPKRU) X(WRPKRU) X(CLZERO) X(FXSAVE) X(FXRSTOR) X(XSAVE) X(XRSTOR)            \
        X(XSAVEOPT) X(XSAVEC) X(XSAVES) X(XRSTORS) X(LDMXCSR) X(STMXCSR) X(NOP) X(PAUSE) X(LFENCE) X(MFENCE)          \
        X(SFENCE) X(CLFLUSH)                                                                                          \
        /* Executed as they stand. VECTOR: MMX and SSE; VEX: AVX and BMI. EVEX and the rest are only measured. */     \
        X(FWAIT) X(X87) X(EMMS) X(VECTOR) X(VEX) X(EVEX) X(UNSUPPORTED)
/* clang-format on */

#define OPERATION_ENUMERATOR(name) OPERATION_##name,
enum operation { OPERATIONS(OPERATION_ENUMERATOR) OPERATION_COUNT };
#undef OPERATION_ENUMERATOR
