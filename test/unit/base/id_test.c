#include "check.h"

#include "base/id.h"

TEST(it_writes_n_letters_and_digits_and_a_nul)
{
    char out[300];

    for (size_t n = 0; n < sizeof out - 1; n += 7) {
        memset(out, '#', sizeof out);
        id_fill(out, n);
        for (size_t i = 0; i < n; i++)
            assert_non_null(memchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                                   out[i], 62));
        assert_int_equal(out[n], '\0');
        assert_int_equal(out[n + 1], '#');
    }
}

TEST(a_uuid_is_one_of_version_4)
{
    char out[ID_UUID_SIZE], last[ID_UUID_SIZE] = "";

    for (size_t i = 0; i < 1000; i++) {
        id_fill_uuid(out);
        assert_int_equal(strlen(out), 36);
        for (size_t k = 0; k < 36; k++)
            assert_non_null(strchr(k == 8 || k == 13 || k == 18 || k == 23 ? "-"
                                   : k == 14                               ? "4"
                                   : k == 19                               ? "89ab"
                                                                           : "0123456789abcdef",
                                   out[k]));
        assert_string_not_equal(out, last);
        memcpy(last, out, sizeof last);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

TEST(ten_thousand_do_not_repeat)
{
    static char ids[10000][23];

    for (size_t i = 0; i < COUNT(ids); i++)
        id_fill(ids[i], 22);
    qsort(ids, COUNT(ids), sizeof *ids, compare);
    for (size_t i = 1; i < COUNT(ids); i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
}

/* Each of the 62 should come about 10,000 times, give or take 100. Were the bytes over 247
 * not thrown away, eight of them would come 12,000 times. */
TEST(every_letter_is_as_likely)
{
    static char text[620001];
    int         times[128] = { 0 }, letters = 0;

    id_fill(text, 620000);
    for (size_t i = 0; i < 620000; i++)
        times[(unsigned char)text[i]]++;
    for (size_t i = 0; i < COUNT(times); i++)
        if (times[i]) {
            assert_in_range(times[i], 9100, 10900);
            letters++;
        }
    assert_int_equal(letters, 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_writes_n_letters_and_digits_and_a_nul),
        cmocka_unit_test(ten_thousand_do_not_repeat),
        cmocka_unit_test(a_uuid_is_one_of_version_4),
        cmocka_unit_test(every_letter_is_as_likely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
