/* cpu.h - what other processes have used of the processors, in nanoseconds. */
#ifndef COMMON_CPU_H
#define COMMON_CPU_H

#include <stdint.h>

/* All of its threads; up to one tick late. */
uint64_t cpu_of_process(int pid);

/* And its children, those that have ended to a hundredth of a second. */
uint64_t cpu_of_family(int pid);

#endif
