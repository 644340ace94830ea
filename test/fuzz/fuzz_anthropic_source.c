/* fuzz_anthropic_source.c - any bytes as an answer in the words of Anthropic; see source_fuzz.h. */
#include "script.h"
#include "source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return source_fuzz(&anthropic_source, SOURCE_STREAM, data, size);
}
