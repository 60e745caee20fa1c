# SPDX-License-Identifier: Apache-2.0
"""What a run did to the tree, stated (`effects`) and done again, all or nothing (`apply`)."""
