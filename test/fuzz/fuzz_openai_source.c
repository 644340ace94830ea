/* fuzz_openai_source.c - any bytes as an answer in the words of OpenAI's dialect; see source_fuzz.h. */
#include "script.h"
#include "source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return source_fuzz(&openai_source, SOURCE_STREAM, data, size);
}
