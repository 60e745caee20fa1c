/* SPDX-License-Identifier: Apache-2.0 */
#include "greet.h"
#include <stdio.h>
int greet(const char *who) { return printf("hello from %s\n", who) < 0; }
