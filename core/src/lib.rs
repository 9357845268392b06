//! The data path of Sluicegate: everything between an accepted connection and its audit record.
