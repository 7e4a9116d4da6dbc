/* doctor.h: what a check of `spate doctor` reports.
 *
 * doctor.c runs the checks in order and shows what they report; doctor_machine.c looks at processors and clocks, doctor_kernel.c at what
 * the kernel offers and allows, doctor_root.c at the directory of buses. Checks only look; none changes a setting. */
#ifndef DOCTOR_H
#define DOCTOR_H

enum finding_level {
    FINDING_OK,
    FINDING_NOTE,    /* works, but could be faster or will be short some day */
    FINDING_PROBLEM, /* prevents working: the exit status becomes 3 */
};

/* doctor_report: one line.
 *   what       two or three words
 *   advice     what to do; NULL for nothing
 *   found      a sentence, as for printf */
void doctor_report(enum finding_level level, const char *what, const char *advice, const char *found, ...)
    __attribute__((format(printf, 4, 5)));

/* doctor_read: the first line of a small file such as those in /proc and /sys; "" when it cannot be read. Returns text. */
char *doctor_read(const char *path, char *text, unsigned size);

void doctor_check_machine(void);
void doctor_check_kernel(void);
void doctor_check_root(void);

#endif
