#include "check.h"

#include "base/conf.h"

/* ---- a table with every kind of row ---------------------------------------------- */

struct record {
    int        line;
    struct str name;
    uint64_t   weight;
};

struct sample {
    struct str        text, word;
    uint64_t          count, bytes, time;
    int               choice;
    struct conf_texts words;
    struct {
        uint64_t count;
    } part;
    struct conf_records records, needed;
};

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 'a' || s.p[i] > 'z')
            return false;
    return s.n > 0;
}

static const char *too_many(const struct conf_texts *all)
{
    return all->n > 5 ? "holds more than five" : NULL;
}

#define AT(type, member) .offset = offsetof(struct type, member)
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const char *const colours[] = { "red", "green", "blue", NULL };

static const struct conf_field part_rows[] = {
    { "count_of_it", CONF_COUNT, AT(sample, part.count) - offsetof(struct sample, part),
      .fallback = "1", .min = 1, .max = 9, .help = "HELP part count." },
    END
};
static const struct conf_record part = { .fields = part_rows };

static const struct conf_field record_rows[] = {
    { "name", CONF_TEXT, AT(record, name), .is_good = is_word, .expects = "a word",
      .help = "HELP r name." },
    { "weight", CONF_COUNT, AT(record, weight), .fallback = "7", .max = 10,
      .help = "HELP r weight." },
    END
};
static const struct conf_record record = { record_rows, sizeof(struct record),
                                           offsetof(struct record, line) };

static const struct conf_field rows[] = {
    { "text", CONF_TEXT, AT(sample, text), .fallback = "hello", .help = "HELP text." },
    { "word", CONF_TEXT, AT(sample, word), .fallback = "abc", .is_good = is_word,
      .expects = "a word", .help = "HELP word." },
    { "count", CONF_COUNT, AT(sample, count), .fallback = "5", .min = 2, .max = 10,
      .help = "HELP count." },
    { "bytes", CONF_BYTES, AT(sample, bytes), .fallback = "1KiB", .min = 16, .max = 4ull << 30,
      .help = "HELP bytes." },
    { "time", CONF_TIME, AT(sample, time), .fallback = "2s", .min = 10000000, .max = 7200000000000,
      .help = "HELP time." },
    { "choice", CONF_CHOICE, AT(sample, choice), .fallback = "green", .choices = colours,
      .help = "HELP choice." },
    { "words", CONF_TEXTS, AT(sample, words), .fallback = "", .is_good = is_word,
      .objection = too_many, .expects = "words", .help = "HELP words." },
    { "part", CONF_SECTION, AT(sample, part), .record = &part },
    { "records", CONF_RECORDS, AT(sample, records), .fallback = "", .record = &record,
      .help = "HELP records." },
    { "needed", CONF_RECORDS, AT(sample, needed), .fallback = "", .record = &record, .min = 1,
      .help = "HELP needed." },
    END
};
static const struct conf_record root = { .fields = rows, .size = sizeof(struct sample) };

static struct arena  arena;
static struct sample got;
static struct buf    mistakes = { .limit = 1 << 20 };

/* Reads `file` (NULL: none) and up to three overrides into `got`; gives the mistakes. */
static struct str read_all(const char *file, const char *const *overrides)
{
    struct conf_load load = { &arena, file ? "conf.yaml" : NULL, &mistakes };

    arena_release(&arena);
    buf_clear(&mistakes);
    memset(&got, 0, sizeof got);
    if (file)
        check_write_conf(str_of(file));
    conf_read(&load, &root, &got, overrides);
    return buf_str(&mistakes);
}

static struct str read_file(const char *file)
{
    return read_all(file, NULL);
}

static struct str read_set(const char *one, const char *two)
{
    return read_all(NULL, (const char *const[]){ one, two, NULL });
}

/* ---- reading ------------------------------------------------------------------------ */

TEST(without_a_file_the_defaults_stand)
{
    check_str(read_file(NULL), "");
    check_str(got.text, "hello");
    check_str(got.word, "abc");
    assert_int_equal(got.count, 5);
    assert_int_equal(got.bytes, 1024);
    assert_int_equal(got.time, 2000000000);
    assert_int_equal(got.choice, 1);
    assert_int_equal(got.words.n, 0);
    assert_int_equal(got.part.count, 1);
    assert_int_equal(got.records.n, 0);
}

TEST(an_empty_file_changes_nothing)
{
    static const char *const files[] = { "",    "# nothing\n", "---\n",     "null\n",
                                         "~\n", "{}\n",        "---\n...\n" };

    for (size_t i = 0; i < COUNT(files); i++) {
        check_str(read_file(files[i]), "");
        assert_int_equal(got.count, 5);
    }
}

TEST(every_kind_is_read_from_the_file)
{
    const struct record *r;

    check_str(read_file("text: 'two words: #1'\n"
                        "word: xyz\n"
                        "count: 3\n"
                        "bytes: 64KiB\n"
                        "time: 500ms\n"
                        "choice: blue\n"
                        "words: [one, \"two\"]\n"
                        "part: {count_of_it: 9}\n"
                        "records:\n"
                        "  - name: first\n"
                        "  - {name: second, weight: 0}\n"),
              "");
    check_str(got.text, "two words: #1");
    check_str(got.word, "xyz");
    assert_int_equal(got.count, 3);
    assert_int_equal(got.bytes, 65536);
    assert_int_equal(got.time, 500000000);
    assert_int_equal(got.choice, 2);
    assert_int_equal(got.words.n, 2);
    check_str(got.words.items[0], "one");
    check_str(got.words.items[1], "two");
    assert_int_equal(got.part.count, 9);
    assert_int_equal(got.records.n, 2);
    r = got.records.items;
    check_str(r[0].name, "first");
    assert_true(r[0].weight == 7 && r[0].line == 10);
    check_str(r[1].name, "second");
    assert_true(r[1].weight == 0 && r[1].line == 11);
}

TEST(texts_are_terminated)
{
    read_file("text: abc\nwords: x\n");
    assert_int_equal(got.text.p[3], '\0');
    assert_int_equal(got.words.items[0].p[1], '\0');
}

TEST(null_means_as_if_it_were_not_there)
{
    check_str(read_file("text:\nword: ~\ncount: null\nwords:\npart:\nrecords: null\n"), "");
    check_str(got.text, "hello");
    check_str(got.word, "abc");
    assert_int_equal(got.count, 5);
    assert_int_equal(got.part.count, 1);
    check_str(read_file("text: 'null'\n"), "");
    check_str(got.text, "null");
    check_str(read_file("text: ''\n"), "");
    check_str(got.text, "");
}

TEST(a_list_may_be_one_line_of_text)
{
    check_str(read_file("words: ' one, two ,,three, '\n"), "");
    assert_int_equal(got.words.n, 3);
    check_str(got.words.items[0], "one");
    check_str(got.words.items[1], "two");
    check_str(got.words.items[2], "three");
    check_str(read_file("words: []\n"), "");
    assert_int_equal(got.words.n, 0);
}

static const struct {
    const char *key, *text;
    uint64_t    value; /* 0: refused                     */
} numbers[] = {
    { "count", "2", 2 },
    { "count", "10", 10 },
    { "count", "007", 7 },
    { "count", "1", 0 },
    { "count", "11", 0 },
    { "count", "5s", 0 },
    { "count", "5KiB", 0 },
    { "count", "-5", 0 },
    { "count", "+5", 0 },
    { "count", "5.0", 0 },
    { "count", "5 x", 0 },
    { "count", "", 0 },
    { "count", "0x5", 0 },
    { "count", "18446744073709551621", 0 },
    { "bytes", "16", 16 },
    { "bytes", "15", 0 },
    { "bytes", "1KiB", 1024 },
    { "bytes", "2 MiB", 2 << 20 },
    { "bytes", "4GiB", 4ull << 30 },
    { "bytes", "4294967297", 0 },
    { "bytes", "1KB", 0 },
    { "bytes", "1kib", 0 },
    { "bytes", "1K", 0 },
    { "bytes", "64s", 0 },
    { "bytes", "KiB", 0 },
    { "bytes", "1.5MiB", 0 },
    { "bytes", "17179869185GiB", 0 },
    { "bytes", "18014398509481985KiB", 0 },
    { "time", "10ms", 10000000 },
    { "time", "9ms", 0 },
    { "time", "0", 0 },
    { "time", "3", 3000000000 },
    { "time", "3s", 3000000000 },
    { "time", "3 s", 3000000000 },
    { "time", "5m", 300000000000 },
    { "time", "2h", 7200000000000 },
    { "time", "121m", 0 },
    { "time", "7201", 0 },
    { "time", "1us", 0 },
    { "time", "1S", 0 },
    { "time", "1min", 0 },
    { "time", "5m 1s", 0 },
    { "time", "1KiB", 0 },
    { "time", "18446744074", 0 },
    { "time", "18446744073709551616", 0 },
};

TEST(numbers_have_units_and_inclusive_ranges)
{
    char set[80];

    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct str why;
        uint64_t   v;

        snprintf(set, sizeof set, "%s=%s", numbers[i].key, numbers[i].text);
        why = read_set(set, NULL);
        v = numbers[i].key[0] == 'c' ? got.count : numbers[i].key[0] == 'b' ? got.bytes : got.time;
        check_that((why.n == 0) == (numbers[i].value != 0), "%s: %.*s", set, STR_ARG(why));
        if (numbers[i].value)
            check_that(v == numbers[i].value, "%s: %llu", set, (unsigned long long)v);
    }
}

TEST(the_environment_wins_over_the_file_and_the_command_line_over_both)
{
    static const char *const file = "text: file\ncount: 3\nwords: [file]\npart: {count_of_it: 3}\n";

    setenv("RUNNEL_TEXT", "environment", 1);
    setenv("RUNNEL_COUNT", "4", 1);
    setenv("RUNNEL_WORDS", "x,y", 1);
    setenv("RUNNEL_PART_COUNT_OF_IT", "4", 1);
    check_str(read_file(file), "");
    check_str(got.text, "environment");
    assert_int_equal(got.count, 4);
    assert_int_equal(got.words.n, 2);
    check_str(got.words.items[1], "y");
    assert_int_equal(got.part.count, 4);
    check_str(read_all(file, (const char *const[]){ "text=set=it", "part.count_of_it=5", "words=z",
                                                    NULL }),
              "");
    check_str(got.text, "set=it");
    assert_int_equal(got.count, 4);
    assert_int_equal(got.words.n, 1);
    check_str(got.words.items[0], "z");
    assert_int_equal(got.part.count, 5);
    unsetenv("RUNNEL_TEXT");
    unsetenv("RUNNEL_COUNT");
    unsetenv("RUNNEL_WORDS");
    unsetenv("RUNNEL_PART_COUNT_OF_IT");
}

TEST(the_last_of_two_overrides_wins)
{
    check_str(read_set("count=3", "count=4"), "");
    assert_int_equal(got.count, 4);
}

TEST(values_in_the_file_read_the_environment)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        { "${X_SET}", "val" },
        { "a${X_SET}b${X_SET}", "avalbval" },
        { "${X_EMPTY}", "" },
        { "${X_SET:-other}", "val" },
        { "${X_EMPTY:-other}", "other" },
        { "${X_UNSET:-other}", "other" },
        { "${X_UNSET:-}", "" },
        { "${X_UNSET:-http://a:-b}", "http://a:-b" },
        { "$$", "$" },
        { "$${X_SET}", "${X_SET}" },
        { "$$$${X_SET}", "$${X_SET}" },
        { "$$${X_SET}", "$val" },
        { "cost: 5$", "cost: 5$" },
        { "$X_SET", "$X_SET" },
        { "${X_SET", "${X_SET" },
        { "${X_DOLLAR}", "${X_SET} $$" },
        { "{X_SET}", "{X_SET}" },
    };
    char file[200];

    setenv("X_SET", "val", 1);
    setenv("X_EMPTY", "", 1);
    setenv("X_DOLLAR", "${X_SET} $$", 1);
    unsetenv("X_UNSET");
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(file, sizeof file, "text: \"%s\"\n", cases[i].text);
        check_str(read_file(file), "");
        check_text(got.text, cases[i].value);
    }
    setenv("X_SET", "9", 1);
    check_str(
        read_file(
            "count: ${X_SET}\nwords: ['${X_UNSET:-w}']\nrecords: [{name: a, weight: '${X_SET}'}]"),
        "");
    assert_int_equal(got.count, 9);
    check_str(got.words.items[0], "w");
    assert_int_equal(((struct record *)got.records.items)->weight, 9);
}

static void write_bytes(const char *name, const char *bytes, size_t n)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

TEST(values_in_the_file_read_other_files)
{
    static const struct {
        const char *bytes, *before, *behind, *value;
    } cases[] = {
        { "val\n", "${file:", "}", "val" },
        { "val", "a${file:", "}b", "avalb" },
        { "two\nlines\r\n\n", "${file:", "}", "two\nlines" },
        { " kept \n", "${file:", ":-other}", " kept " },
        { "${X_SET}$$", "${file:", "}", "${X_SET}$$" },
        { "val", "${file:", ".not:-other}", "other" },
        { "val", "${file:", ".not:-}", "" },
        { "", "${file:", ":-other}", "other" },
    };
    char name[] = "/tmp/runnel-conf-XXXXXX", file[200];
    int  fd = mkstemp(name);

    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_bytes(name, cases[i].bytes, strlen(cases[i].bytes));
        snprintf(file, sizeof file, "text: \"%s%s%s\"\n", cases[i].before, name, cases[i].behind);
        check_str(read_file(file), "");
        check_text(got.text, cases[i].value);
    }
    unlink(name);
}

TEST(a_file_that_cannot_be_read_is_a_mistake_where_it_stands)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "${file:/nowhere/at/all}", "/nowhere/at/all cannot be read: No such file or directory" },
        { "${file:/tmp:-other}", "/tmp cannot be read: Is a directory" },
        { "${file:/dev/null}", "/dev/null cannot be read: it is empty" },
        { "${file:/dev/zero}", "/dev/zero cannot be read: it is too large" },
        { "${file:}", " cannot be read: No such file or directory" },
    };
    char file[200], want[300], name[] = "/tmp/runnel-conf-XXXXXX";
    int  fd = mkstemp(name);

    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(file, sizeof file, "count: 3\ntext: '%s'\n", cases[i].text);
        snprintf(want, sizeof want, "conf.yaml:2: text: the file %s\n", cases[i].why);
        check_same(read_file(file), str_of(want));
    }
    assert_true(fd >= 0);
    close(fd);
    write_bytes(name, "Sec\0ret", 7);
    snprintf(file, sizeof file, "text: ${file:%s}\n", name);
    assert_true(check_has(read_file(file), STR("it holds a NUL character")));
    assert_false(check_has(buf_str(&mistakes), STR("Sec")));
    write_bytes(name, "Secret", 6);
    snprintf(file, sizeof file, "count: ${file:%s}\n", name);
    check_str(read_file(file),
              "conf.yaml:1: count: expects a whole number, not the value of a variable\n");
    unlink(name);
}

TEST(a_variable_that_is_missing_is_a_mistake_where_it_stands)
{
    unsetenv("X_UNSET");
    check_str(
        read_file("count: 3\ntext: a${X_UNSET}\n"),
        "conf.yaml:2: text: the environment has no variable X_UNSET (write ${X_UNSET:-} if it may be "
        "missing)\n");
    assert_true(check_has(read_file("text: ${}\n"), STR("conf.yaml:1: text: ")));
    assert_true(check_has(read_file("text: ${X_UNSET:?x}\n"), STR("conf.yaml:1: text: ")));
}

TEST(a_malformed_reference_is_one_mistake)
{
    unsetenv("X_UNSET");
    check_str(
        read_file("count: ${X_UNSET:?x}\n"),
        "conf.yaml:1: count: the environment has no variable X_UNSET (write ${X_UNSET:-} if it may be "
        "missing)\n");
    assert_int_equal(got.count, 5);
}

TEST(mistakes_do_not_show_what_came_out_of_the_environment)
{
    setenv("X_SET", "Secret", 1);
    setenv("RUNNEL_COUNT", "Secret", 1);
    read_file(
        "count: ${X_SET}\nword: a${X_SET}\nwords: ['${X_SET}', Shown]\ntime: ${X_UNSET:-Secret}\n"
        "choice: '${X_SET}'\n");
    unsetenv("RUNNEL_COUNT");
    check_str(
        buf_str(&mistakes),
        "conf.yaml:1: count: expects a whole number, not the value of a variable\n"
        "conf.yaml:2: word: expects a word, not the value of a variable\n"
        "conf.yaml:3: words[0]: expects words, not the value of a variable\n"
        "conf.yaml:3: words[1]: expects words, not \"Shown\"\n"
        "conf.yaml:4: time: expects a time such as 500ms, 10s or 5m, not the value of a variable\n"
        "conf.yaml:5: choice: the value of a variable is not one of red, green, blue\n"
        "environment: RUNNEL_COUNT: expects a whole number, not the value of a variable\n");
}

/* ---- mistakes ------------------------------------------------------------------------ */

TEST(each_mistake_names_its_line_and_key)
{
    static const struct {
        const char *file, *mistakes;
    } cases[] = {
        { "count: 3\ncuont: 4\n", "conf.yaml:2: cuont: there is no such setting\n" },
        { "\n\ncount: many\n", "conf.yaml:3: count: expects a whole number, not \"many\"\n" },
        { "count: ''\n", "conf.yaml:1: count: expects a whole number, not \"\"\n" },
        { "count: 11\n", "conf.yaml:1: count: \"11\" is out of range (2 to 10)\n" },
        { "bytes: 15\n", "conf.yaml:1: bytes: \"15\" is out of range (16 to 4GiB)\n" },
        { "bytes: 1KB\n",
          "conf.yaml:1: bytes: expects a size such as 4096, 64KiB or 8MiB, not \"1KB\"\n" },
        { "time: 3h\n", "conf.yaml:1: time: \"3h\" is out of range (10ms to 2h)\n" },
        { "time: soon\n",
          "conf.yaml:1: time: expects a time such as 500ms, 10s or 5m, not \"soon\"\n" },
        { "choice: Red\n", "conf.yaml:1: choice: \"Red\" is not one of red, green, blue\n" },
        { "word: A1\n", "conf.yaml:1: word: expects a word, not \"A1\"\n" },
        { "words: [a, b, C]\n", "conf.yaml:1: words[2]: expects words, not \"C\"\n" },
        { "words:\n- a\n- [b]\n", "conf.yaml:3: words[1]: expects text\n" },
        { "words: [a, b, c, d, e, f]\n", "conf.yaml:1: words: holds more than five\n" },
        { "words: 'a,b,c,d,e,f'\n", "conf.yaml:1: words: holds more than five\n" },
        { "needed: []\n", "conf.yaml:1: needed: needs at least one\n" },
        { "words: 'a,B'\n", "conf.yaml:1: words: expects words, not \"B\"\n" },
        { "words: {a: b}\n", "conf.yaml:1: words: expects a list\n" },
        { "text: [a]\n", "conf.yaml:1: text: expects text\n" },
        { "count: {a: 1}\n", "conf.yaml:1: count: expects a whole number\n" },
        { "part: 5\n", "conf.yaml:1: part: expects named settings below it\n" },
        { "part: [1]\n", "conf.yaml:1: part: expects named settings below it\n" },
        { "part:\n  count_of_it: 0\n",
          "conf.yaml:2: part.count_of_it: \"0\" is out of range (1 to 9)\n" },
        { "part:\n  x: 0\n", "conf.yaml:2: part.x: there is no such setting\n" },
        { "records: 5\n", "conf.yaml:1: records: expects a list\n" },
        { "records: {name: a}\n", "conf.yaml:1: records: expects a list\n" },
        { "records: [a]\n",
          "conf.yaml:1: records[0]: expects named settings ({name: ..., ...})\n" },
        { "records:\n- name: a\n- weight: 1\n", "conf.yaml:3: records[1].name: is missing\n" },
        { "records:\n- name:\n", "conf.yaml:2: records[0].name: is missing\n" },
        { "records:\n- {name: a, weight: 11}\n",
          "conf.yaml:2: records[0].weight: \"11\" is out of range (0 to 10)\n" },
        { "records:\n- name: a\n  x: 1\n",
          "conf.yaml:3: records[0].x: there is no such setting\n" },
        { "count: 3\ntext: x\ncount: 4\n", "conf.yaml:3: count: is given twice\n" },
        { "[1]: x\n", "conf.yaml:1: (file): a name must be plain text\n" },
        { "part:\n  ? [1]\n  : x\n", "conf.yaml:2: part: a name must be plain text\n" },
        { "- a\n", "conf.yaml:1: (file): the file must hold named settings (name: value)\n" },
        { "\nhello\n", "conf.yaml:2: (file): the file must hold named settings (name: value)\n" },
        { "count: 3\n---\ncount: 4\n",
          "conf.yaml:1: (file): the file holds more than one YAML document\n" },
        { "text: \"a\\0b\"\n", "conf.yaml:1: text: holds a NUL character\n" },
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        check_same(read_file(cases[i].file), str_of(cases[i].mistakes));
}

TEST(all_mistakes_are_told_at_once)
{
    setenv("RUNNEL_CHOICE", "pink", 1);
    read_all("count: 1\n"
             "nonsense: 1\n"
             "records:\n"
             "  - weight: heavy\n"
             "  - {}\n"
             "part: {count_of_it: x}\n",
             (const char *const[]){ "time=0", "no.such=1", NULL });
    unsetenv("RUNNEL_CHOICE");
    check_str(buf_str(&mistakes),
              "conf.yaml:1: count: \"1\" is out of range (2 to 10)\n"
              "conf.yaml:2: nonsense: there is no such setting\n"
              "conf.yaml:4: records[0].weight: expects a whole number, not \"heavy\"\n"
              "conf.yaml:4: records[0].name: is missing\n"
              "conf.yaml:5: records[1].name: is missing\n"
              "conf.yaml:6: part.count_of_it: expects a whole number, not \"x\"\n"
              "environment: RUNNEL_CHOICE: the value of a variable is not one of red, green, blue\n"
              "command line: time: \"0\" is out of range (10ms to 2h)\n"
              "command line: no.such: there is no such setting\n");
}

TEST(each_mistake_is_one_line_whatever_is_in_the_file)
{
    setenv("X_SET", "a\nb", 1);
    check_str(
        read_file("\"x\\ny\": 1\ncount: \"3\\nconf.yaml:9: forged\\x7f\"\nwords: ['${X_SET}']\n"),
        "conf.yaml:1: x?y: there is no such setting\n"
        "conf.yaml:2: count: expects a whole number, not \"3?conf.yaml:9: forged?\"\n"
        "conf.yaml:3: words[0]: expects words, not the value of a variable\n");
}

TEST(a_mistake_leaves_the_value_as_it_was)
{
    read_file("count: 11\ntime: x\nword: 1\nchoice: pink\n");
    assert_int_equal(got.count, 5);
    assert_int_equal(got.time, 2000000000);
    check_str(got.word, "abc");
    assert_int_equal(got.choice, 1);
}

TEST(what_is_not_yaml_is_told_with_its_line)
{
    static const struct {
        const char *file, *head;
    } cases[] = {
        { "count: 3\ntext: [a\n", "conf.yaml:" },
        { "count: 3\n  text: x\n", "conf.yaml:2: (file): not YAML: " },
        { "count: 3\n\ttext: x\n", "conf.yaml:2: (file): not YAML: " },
        { "text: \"a\n", "conf.yaml:" },
        { "text: *nobody\n", "conf.yaml:1: (file): not YAML: " },
        { "count: 3\n---\n[\n", "conf.yaml:" },
        { "text: \xff\n", "conf.yaml:" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str why = read_file(cases[i].file);

        check_that(str_starts(why, str_of(cases[i].head)) &&
                       check_has(why, STR(": (file): not YAML: ")),
                   "%zu: %.*s", i, STR_ARG(why));
        check_that(memchr(why.p, '\n', why.n) == why.p + why.n - 1, "%zu: more than one line", i);
    }
}

TEST(an_alias_that_holds_itself_ends)
{
    read_file("words: &w [*w]\n");
    read_file("records: &r [*r, &x {name: a, weight: *x}]\n");
    read_file("part: &p\n  count_of_it: *p\n");
    assert_true(mistakes.n > 0);
    check_str(read_file("text: &t shared\nword: *t\n"), "");
    check_str(got.word, "shared");
}

TEST(a_file_that_is_not_there_is_a_mistake)
{
    struct conf_load load = { &arena, "nowhere.yaml", &mistakes };

    read_file(NULL);
    conf_read(&load, &root, &got, NULL);
    check_buf(&mistakes, "nowhere.yaml: (file): cannot be read: No such file or directory\n");
    assert_int_equal(got.count, 5);
}

TEST(overrides_name_their_mistakes)
{
    static const struct {
        const char *set, *mistakes;
    } cases[] = {
        { "count", "command line: count: write it as name=value\n" },
        { "cuont=3", "command line: cuont: there is no such setting\n" },
        { "count=x", "command line: count: expects a whole number, not \"x\"\n" },
        { "part=3", "command line: part: there is no such setting\n" },
        { "part.x=3", "command line: part.x: there is no such setting\n" },
        { "part.=3", "command line: part.: there is no such setting\n" },
        { "part.count_of_it.x=3", "command line: part.count_of_it.x: there is no such setting\n" },
        { "count.x=3", "command line: count.x: there is no such setting\n" },
        { ".count=3", "command line: .count: there is no such setting\n" },
        { "records=x",
          "command line: records: there is no such setting for the command line; use a file\n" },
        { "words=a,B", "command line: words: expects words, not \"B\"\n" },
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        check_same(read_set(cases[i].set, NULL), str_of(cases[i].mistakes));
    assert_true(str_starts(read_set("=3", NULL), STR("command line: ")));
    assert_true(str_starts(read_set("", NULL), STR("command line: ")));
}

TEST(very_long_names_and_values_are_no_trouble)
{
    struct buf file = BUF(100000);

    buf_addf(&file, "%01000d: 1\ncount: %02000d\nchoice: %0999d\nword: %02000dX\n", 1, 99, 7, 7);
    buf_add_char(&file, '\0');
    assert_true(check_has(read_file(file.p), STR("conf.yaml:2: count: \"0")));
    assert_true(check_has(buf_str(&mistakes), STR("conf.yaml:4: word: expects a word")));
    assert_int_equal(got.count, 5);
    file.p[1000] = '=';
    assert_true(str_starts(read_set(file.p, NULL), STR("command line: 0")));
    buf_release(&file);
}

/* ---- for people ------------------------------------------------------------------------ */

TEST(help_and_markdown_hold_every_row)
{
    static const struct {
        const char *key, *env, *fallback, *values, *help;
    } cases[] = {
        { "text", "RUNNEL_TEXT", "hello", "text", "HELP text." },
        { "word", "RUNNEL_WORD", "abc", "a word", "HELP word." },
        { "count", "RUNNEL_COUNT", "5", "2 to 10", "HELP count." },
        { "bytes", "RUNNEL_BYTES", "1KiB", "16 to 4GiB", "HELP bytes." },
        { "time", "RUNNEL_TIME", "2s", "10ms to 2h", "HELP time." },
        { "choice", "RUNNEL_CHOICE", "green", "red, green, blue", "HELP choice." },
        { "words", "RUNNEL_WORDS", "", "words", "HELP words." },
        { "part.count_of_it", "RUNNEL_PART_COUNT_OF_IT", "1", "1 to 9", "HELP part count." },
        { "records", "", "", "list", "HELP records." },
        { "records[].name", "", "", "a word", "HELP r name." },
        { "records[].weight", "", "7", "0 to 10", "HELP r weight." },
        { "needed", "", "", "list", "HELP needed." },
        { "needed[].name", "", "", "a word", "HELP r name." },
        { "needed[].weight", "", "7", "0 to 10", "HELP r weight." },
    };
    struct buf help = BUF(10000), table = BUF(10000), want = BUF(10000);

    conf_write_help(&root, &help);
    for (size_t i = 0; i < COUNT(cases); i++)
        buf_addf(&want, "  %s%s%s  (%s)\n      %s\n", cases[i].key,
                 cases[i].fallback[0] ? " = " : "", cases[i].fallback, cases[i].values,
                 cases[i].help);
    check_same(buf_str(&help), buf_str(&want));
    buf_clear(&want);
    conf_write_markdown(&root, &table);
    buf_lit(&want,
            "| setting | environment | default | values | what it does |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *e = cases[i].env[0] ? "`" : "", *d = cases[i].fallback[0] ? "`" : "";

        buf_addf(&want, "| `%s` | %s%s%s | %s%s%s | %s | %s |\n", cases[i].key, e, cases[i].env, e,
                 d, cases[i].fallback, d, cases[i].values, cases[i].help);
    }
    check_same(buf_str(&table), buf_str(&want));
    buf_release(&help);
    buf_release(&table);
    buf_release(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_the_defaults_stand),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(every_kind_is_read_from_the_file),
        cmocka_unit_test(texts_are_terminated),
        cmocka_unit_test(null_means_as_if_it_were_not_there),
        cmocka_unit_test(a_list_may_be_one_line_of_text),
        cmocka_unit_test(numbers_have_units_and_inclusive_ranges),
        cmocka_unit_test(the_environment_wins_over_the_file_and_the_command_line_over_both),
        cmocka_unit_test(the_last_of_two_overrides_wins),
        cmocka_unit_test(values_in_the_file_read_the_environment),
        cmocka_unit_test(values_in_the_file_read_other_files),
        cmocka_unit_test(a_file_that_cannot_be_read_is_a_mistake_where_it_stands),
        cmocka_unit_test(a_variable_that_is_missing_is_a_mistake_where_it_stands),
        cmocka_unit_test(a_malformed_reference_is_one_mistake),
        cmocka_unit_test(mistakes_do_not_show_what_came_out_of_the_environment),
        cmocka_unit_test(each_mistake_names_its_line_and_key),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(each_mistake_is_one_line_whatever_is_in_the_file),
        cmocka_unit_test(a_mistake_leaves_the_value_as_it_was),
        cmocka_unit_test(what_is_not_yaml_is_told_with_its_line),
        cmocka_unit_test(an_alias_that_holds_itself_ends),
        cmocka_unit_test(a_file_that_is_not_there_is_a_mistake),
        cmocka_unit_test(overrides_name_their_mistakes),
        cmocka_unit_test(very_long_names_and_values_are_no_trouble),
        cmocka_unit_test(help_and_markdown_hold_every_row),
    };
    int failed = cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);

    arena_release(&arena);
    buf_release(&mistakes);
    return failed;
}
