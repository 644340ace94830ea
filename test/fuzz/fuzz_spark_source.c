/* fuzz_spark_source.c - any bytes as an answer in the words of Spark; see source_fuzz.h. */
#include "script.h"
#include "source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return source_fuzz(&spark_source, SOURCE_MESSAGES, data, size);
}
