# Writes a C file with the migrations in it: cmake -D FROM=sql -D TO=migrations.c -P sql/embed.cmake
#
# Their numbers count from 1 without a gap, which is what makes "how far" one number.
cmake_minimum_required(VERSION 3.25)

file(GLOB files "${FROM}/*.sql")
list(SORT files)
set(number 0)
set(bytes "")
set(rows "")
foreach(file IN LISTS files)
    math(EXPR number "${number} + 1")
    get_filename_component(name "${file}" NAME)
    if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)\\.sql$")
        message(FATAL_ERROR "${file}: a migration is called like 0007_what_it_does.sql")
    endif()
    set(title "${CMAKE_MATCH_2}")
    string(REGEX REPLACE "^0+" "" written "${CMAKE_MATCH_1}")
    if(NOT "${written}" STREQUAL "${number}")
        message(FATAL_ERROR "${file}: the next migration has number ${number}")
    endif()
    file(READ "${file}" text HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" text "${text}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," text "${text}")
    # The zero behind it, which is no part of it, is for libpq.
    string(APPEND bytes "static const unsigned char sql_${number}[] = {\n${text} 0 };\n\n")
    string(APPEND rows "    { ${number}, \"${title}\", { (const char *)sql_${number}, sizeof sql_${number} - 1 } },\n")
endforeach()

file(WRITE "${TO}" "/* Made of sql/ by sql/embed.cmake. */
#include \"store/migrations.h\"

${bytes}const struct migration migrations[] = {
${rows}};
const size_t n_migrations = sizeof migrations / sizeof *migrations;
")
