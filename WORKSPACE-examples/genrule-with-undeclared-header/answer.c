/* SPDX-License-Identifier: Apache-2.0 */
#include <limits_of_site.h>
int answer(void) { return LIMIT; }
