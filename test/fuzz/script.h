/* script.h - what every fuzz target shares: how an input is read, and how one fails.
 *
 * An input is text with marks in it: byte 0xff and a letter. What a letter means is the
 * target's own; 0xff 0xff stands for a byte 0xff of the text. So a seed can be read and
 * written by hand, and a mutation that moves text moves its marks with it.
 */
#ifndef TEST_FUZZ_SCRIPT_H
#define TEST_FUZZ_SCRIPT_H

#include "base/buf.h"

enum { SCRIPT_MARK = 0xff };

/* Cuts the text before the next mark off. `mark` is its letter, or 0 at the end and
 * behind a piece that ends in a byte 0xff of its own. False when nothing is left. */
bool script_next(struct str *rest, struct str *text, char *mark);

/* The text without its marks. */
void script_text(struct str script, struct buf *out);

/* What must hold; if it does not, the fuzzer keeps the input. */
#define MUST(claim) MUST_SAY(claim, "%s", "")
#define MUST_SAY(claim, ...)                                                                       \
    do {                                                                                           \
        if (!(claim))                                                                              \
            script_fail(__FILE__, __LINE__, #claim, __VA_ARGS__);                                  \
    } while (0)

_Noreturn void script_fail(const char *file, int line, const char *claim, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* libFuzzer's side. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
