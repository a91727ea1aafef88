"""Everything with effects on the operator side: events, queue, apply, gather, status, leader, metrics."""
