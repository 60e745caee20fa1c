# SPDX-License-Identifier: Apache-2.0
"""What people look at: pages at `/ui/`, and the same as JSON at `/api/v1/`, both over one store and without state.

Nothing here is imported before the first page is asked for but what the routes need.
"""
