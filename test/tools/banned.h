/* banned.h - functions this project does not use; the build includes it before every file.
 *
 * Each is declared once more, as the C library declares it, and marked deprecated:
 * a use is then an error under -Werror, with the reason in the message. The C library's own
 * headers still work, before and after. They are not included here, so that no file
 * gets a header it did not ask for. alloca() is a macro; -Walloca watches over it.
 * Raw memory (malloc and its kin) is watched over by test/tools/rules.py.
 */
#ifndef TEST_TOOLS_BANNED_H
#define TEST_TOOLS_BANNED_H

#include <stddef.h>

#define BANNED(why) __attribute__((deprecated("banned here: " why)))

struct tm;
struct addrinfo;
struct hostent;

/* They write without knowing how much room there is. */
extern char *strcpy(char *restrict, const char *restrict) BANNED("use a buf, or memcpy");
extern char *strcat(char *restrict, const char *restrict) BANNED("use a buf");
extern char *stpcpy(char *restrict, const char *restrict) BANNED("use a buf, or memcpy");
extern int   sprintf(char *restrict, const char *restrict, ...) BANNED("use snprintf or a buf");
extern int   vsprintf(char *restrict, const char *restrict, __builtin_va_list)
    BANNED("use vsnprintf or a buf");
extern char *gets(char *) BANNED("it cannot be used safely");

/* They may leave no terminator, or count in a way that invites mistakes. */
extern char *strncpy(char *restrict, const char *restrict, size_t) BANNED("use a buf, or memcpy");
extern char *strncat(char *restrict, const char *restrict, size_t) BANNED("use a buf");

/* They keep state behind the caller's back. */
extern char      *strtok(char *restrict, const char *restrict) BANNED("use struct str");
extern char      *ctime(const long *) BANNED("use base/clock.h");
extern char      *asctime(const struct tm *) BANNED("use base/clock.h");
extern struct tm *localtime(const long *) BANNED("use localtime_r");
extern struct tm *gmtime(const long *) BANNED("use gmtime_r");
extern int        rand(void) BANNED("use base/id.h");
extern void       srand(unsigned int) BANNED("use base/id.h");
extern char      *tmpnam(char *) BANNED("use mkstemp");
extern char      *mktemp(char *) BANNED("use mkstemp");

/* They take anything for a number. */
extern int       atoi(const char *) BANNED("use strtol and look at the end");
extern long      atol(const char *) BANNED("use strtol and look at the end");
extern long long atoll(const char *) BANNED("use strtoll and look at the end");
extern double    atof(const char *) BANNED("use strtod and look at the end");

/* They stop the loop, or start a shell. */
extern int             system(const char *) BANNED("no shells here");
extern unsigned int    sleep(unsigned int) BANNED("use a deadline");
extern int             usleep(unsigned int) BANNED("use a deadline");
extern struct hostent *gethostbyname(const char *)
    BANNED("it waits; names are resolved by the loop");
extern int getaddrinfo(const char *restrict, const char *restrict, const struct addrinfo *restrict,
                       struct addrinfo **restrict)
    BANNED("it waits; names are resolved by the loop");

#undef BANNED

#endif
