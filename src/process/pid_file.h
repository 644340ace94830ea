/* pid_file.h - where an operator finds whom to signal. */
#ifndef PROCESS_PID_FILE_H
#define PROCESS_PID_FILE_H

#include "base/str.h"

void pid_file_write(struct str path);         /* empty: none; dies if it cannot */
void pid_file_remove(void);                   /* unless a successor has written it since */

#endif
