# The code of chaosctl/safety/process_clock.py for x86-64: as clock.s -o clock.o && objcopy -O binary -j .text clock.o clock.bin
.intel_syntax noprefix
.text
clock_gettime:
  endbr64
  mov eax, 228
  syscall
  test eax, eax
  jnz 2f
  test edi, edi
  jz 1f
  cmp edi, 5
  je 1f
  cmp edi, 11
  jne 2f
1:
  mov rax, [rsi]
  imul rax, rax, 1000000000
  add rax, [rsi+8]
  mov r8, rax
  sub rax, [rip+begin]
  imul qword ptr [rip+gain]
  shrd rax, rdx, 32
  add rax, r8
  add rax, [rip+skew]
  xor edx, edx
  mov ecx, 1000000000
  div rcx
  mov [rsi], rax
  mov [rsi+8], rdx
  xor eax, eax
2:
  ret
  .p2align 3
gettimeofday:
  endbr64
  push rdi
  test rsi, rsi
  jz 1f
  xor edi, edi
  mov eax, 96
  syscall
  mov rdi, [rsp]
1:
  test rdi, rdi
  jz 2f
  sub rsp, 16
  mov rsi, rsp
  xor edi, edi
  call clock_gettime
  mov rdi, [rsp+16]
  mov rax, [rsp]
  mov [rdi], rax
  mov rax, [rsp+8]
  xor edx, edx
  mov ecx, 1000
  div rcx
  mov [rdi+8], rax
  add rsp, 16
2:
  pop rdi
  xor eax, eax
  ret
  .p2align 3
time:
  endbr64
  push rdi
  sub rsp, 16
  mov rsi, rsp
  xor edi, edi
  call clock_gettime
  mov rax, [rsp]
  add rsp, 16
  pop rdi
  test rdi, rdi
  jz 1f
  mov [rdi], rax
1:
  ret
  .p2align 3
begin: .quad 0
gain: .quad 0
skew: .quad 0
